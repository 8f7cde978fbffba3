"""`edgernn run` on samples: the model's whole pipeline, from a source to sinks."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgernn.cli.viewing import Place, Push
    from edgernn.model import Model
    from edgernn.pipeline import Pipeline, Scores
    from edgernn.sinks import Sink
    from edgernn.sources import Source
    from edgernn.view import View

    Part = Source | Pipeline | Sink | View


def run_samples(
    model: Model,
    spec: str,
    backend: str,
    show_scores: bool,
    state: Path | None,
    to: Sequence[str] = ("-",),
    options: Mapping[str, Any] | None = None,
    view: Place | None = None,
    board: tuple[str, str | None] | None = None,
) -> int:
    """Run a source through the model's pipeline into sinks; tell at the end what went wrong.

    `options` are those of `open_source`; `view` is where to serve a live page, if anywhere;
    `board` is where to run, emulated, and the compiler for it. Returns 1 if an event could not be
    delivered.
    """
    from converters.quiet import quiet
    from edgernn.errors import InputError, StateError
    from edgernn.files import read_file, write_atomically
    from edgernn.sinks import open_sink
    from edgernn.sources import open_source

    if board is not None:
        return _run_on_board(model, spec, show_scores, to, options or {}, *board)
    with quiet():
        pipeline = model.pipeline(backend)
    if show_scores or pipeline.detector is None:
        pipeline.watch = lambda scores: _print_scores(model, scores)
    if state is not None and state.exists():
        try:
            pipeline.restore(read_file(state))
        except StateError as error:
            raise StateError(f"{state}: {error}") from None
    parts: list[Part] = []
    try:
        with ExitStack() as open_parts:
            push: Push = pipeline.push
            if view is not None:  # first: a source that is open waits for nobody
                from edgernn.cli.viewing import open_view, viewed

                page = open_parts.enter_context(open_view(pipeline, view))
                push = viewed(pipeline, page, lambda: _counters(parts))
                parts.append(page)
            source = open_parts.enter_context(
                open_source(spec, pipeline.front_end, **(options or {}))
            )
            parts += [source, pipeline]
            sinks = [open_parts.enter_context(open_sink(one)) for one in to]
            parts += sinks
            empty = True
            with _ends_between_blocks(source):
                for block in source:
                    empty = False
                    for event in push(block.samples, block.times):
                        for sink in sinks:
                            sink.send(event)
            if empty and not source.live:
                raise InputError(f"{spec}: holds no samples")
    finally:
        counters = _tell_counters(parts)
    if state is not None:
        write_atomically(state, pipeline.save())
    return int(counters["dropped_events"] + counters["undelivered_events"] > 0)


def _run_on_board(
    model: Model,
    spec: str,
    show_scores: bool,
    to: Sequence[str],
    options: Mapping[str, Any],
    board: str,
    cc: str | None,
) -> int:
    """`run_samples` in a board's firmware."""
    from edgernn.sinks import open_sink
    from edgernn.sources import open_source
    from targets.board_pipeline import BoardPipeline

    parts: list[Any] = []
    try:
        with ExitStack() as open_parts:
            pipeline = open_parts.enter_context(BoardPipeline(model, board, cc))
            if show_scores or pipeline.detector is None:
                pipeline.watch = lambda scores: _print_scores(model, scores)
            source = open_parts.enter_context(open_source(spec, pipeline.front_end, **options))
            sinks = [open_parts.enter_context(open_sink(one)) for one in to]
            parts += [source, *sinks]
            with _ends_between_blocks(source):
                for block in source:
                    for event in pipeline.push(block.samples, block.times):
                        for sink in sinks:
                            sink.send(event)
    finally:
        counters = _tell_counters(parts)
    return int(counters["dropped_events"] + counters["undelivered_events"] > 0)


@contextmanager
def _ends_between_blocks(source: Source) -> Iterator[None]:
    """Ctrl-C and SIGTERM close a live source, so that what it gave is finished; twice kills."""
    if not source.live or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def end(*_: Any) -> None:
        restore()
        # The main thread may hold a lock that `close` takes.
        threading.Thread(target=source.close).start()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        restore()


def _print_scores(model: Model, scores: Scores) -> None:
    from edgernn.cli.run import told_values

    for time, values in zip(scores.times.tolist(), scores.real, strict=True):
        print(json.dumps({"time": time / 1e6, **told_values(values, model.labels, raw=False)}))
    sys.stdout.flush()


def _counters(parts: Iterable[Part]) -> Counter[str]:
    counters: Counter[str] = Counter()
    for part in parts:
        counters.update(part.counters)
    return counters


def _tell_counters(parts: Iterable[Part]) -> Counter[str]:
    counters = _counters(parts)
    wrong = [f"{name.replace('_', ' ')} {n:,}" for name, n in counters.items() if n]
    if wrong:
        click.echo(f"edgernn: on the way: {', '.join(wrong)}", err=True)
    return counters
