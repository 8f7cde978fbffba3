"""Generated C beside TensorFlow Lite Micro: outputs and every state, bit for bit.

Converts an LSTM, both kinds of GRU, a SimpleRNN, a stack, a layer with LayerNormalization and a
cell of a user's own, in int8 and int16x8, and runs each on

- this machine, for `--steps`;
- every core that can be emulated here (unicorn; QEMU for a Cortex-M55), for `--emulated` steps;
- one emulated core as each compiler makes it at -O0, -Os, -O2 and -O3, for `--compilers` steps.

Frames are small noise, noise over the whole range, extremes only, and frames held still. The
reference is the `tflite-micro` wheel, with states carried by hand.

    python benchmarks/parity.py [--quick] [--steps 1000000] [--json FILE] [--models NAME ...]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import edgernn
from edgernn.errors import MissingDependencyError
from edgernn.model import Model
from targets import executors
from targets.boards import boards_with
from targets.compile import compile_model
from targets.compiled import state_offsets, state_struct_bytes
from targets.cores import cores
from targets.emulate import Emulator
from targets.qemu import COMMAND
from targets.toolchain import build_shared

Array = npt.NDArray[Any]

MODELS = {
    "LSTM": "lstm",
    "GRU": "gru",
    "GRU, reset before": "gru_before",
    "SimpleRNN": "simple",
    "stacked": "stacked_layers",
    "stacked cells": "stacked_cells",
    "LayerNorm": "layer_norm",
    "custom cell": "custom_cell",
}
PRECISIONS = ("int8", "int16x8")
LEVELS = ("-O0", "-Os", "-O2", "-O3")
COMPILERS = ("zig", "arm-none-eabi-gcc")
COMPILER_CORE = "cortex-m4"
STRETCH = 16
BLOCK = 20_000


@dataclass(frozen=True)
class Job:
    """A model and how far to take it."""

    name: str
    precision: str
    data: bytes
    steps: int
    emulated: int
    compilers: int


@dataclass(frozen=True)
class Row:
    """How many steps of one executor were compared, and at which the first difference was."""

    model: str
    precision: str
    where: str
    steps: int
    first_difference: int | None
    seconds: float
    note: str = ""


def convert(name: str, precision: str) -> bytes:
    """One of the test suite's models, with weights that use every term."""
    import keras

    from tests.converters.test_conversion import recordings
    from tests.converters.test_trace import MODELS as KERAS
    from tests.converters.test_trace import randomized

    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    data: bytes = edgernn.convert(
        randomized(KERAS[MODELS[name]]()), recordings(), precision=precision
    ).data
    return data


def frames(model: Model, first: int, count: int) -> Array:
    """Raw frames number `first` and following; `first` is a multiple of the block."""
    random = np.random.default_rng(first)
    info = np.iinfo(str(model.x.numpy_dtype))
    shape = (count, *model.x.shape[1:])
    kind = (np.arange(count) // STRETCH % 4).reshape(-1, *[1] * (len(shape) - 1))
    small = random.normal(model.x.zero_point[0], (info.max - info.min) / 16, shape)
    wide = random.uniform(info.min, info.max, shape)
    ends = np.where(random.random(shape) < 0.5, info.min, info.max)
    still = wide[np.arange(count) // STRETCH * STRETCH]
    values = np.choose(kind, [small, wide, ends, still])
    return np.clip(np.rint(values), info.min, info.max).astype(model.x.numpy_dtype)


class Reference:
    """The wheel's interpreter; `run` gives the outputs and states of a block of frames."""

    def __init__(self, model: Model) -> None:
        from tflite_micro import runtime

        graph = model.graph
        self.interpreter = runtime.Interpreter.from_bytes(model.data, arena_size=1 << 20)
        self.x = graph.inputs.index(model.x.index)
        self.y = graph.outputs.index(model.y.index)
        self.ports = [
            (graph.inputs.index(s.input.index), graph.outputs.index(s.output.index))
            for s in model.states
        ]
        self.states = [np.array(s.initial) for s in model.states]
        self.first = [(np.array(s.initial), s.starts) for s in model.states]
        self.done = 0

    def run(self, block: Array) -> list[Array]:
        """Outputs, and each state, after every frame."""
        interpreter, ports, states = self.interpreter, self.ports, self.states
        outputs, after = [], []
        for frame in block:
            interpreter.set_input(frame[None], self.x)
            for (slot, _), state in zip(ports, states, strict=True):
                interpreter.set_input(state, slot)
            interpreter.invoke()
            states = [
                first if self.done < starts else interpreter.get_output(slot)
                for (_, slot), (first, starts) in zip(ports, self.first, strict=True)
            ]
            self.done += 1
            outputs.append(interpreter.get_output(self.y))
            after.append(states)
        self.states = states
        count = len(block)
        columns = [outputs, *zip(*after, strict=True)]
        return [np.array(column).reshape(count, -1) for column in columns]


DRIVER = """\
#include "model.h"

void run(model_state_t *state, model_scratch_t *scratch, const {x} *x, {y} *y,
         model_state_t *states, int32_t count) {{
  for (int32_t i = 0; i < count; i++) {{
    model_step(state, scratch, x + i * {columns}, y + i * {rows});
    states[i] = *state;
  }}
}}
"""


class Native:
    """The C on this machine, a block of frames at a time."""

    def __init__(self, model: Model, folder: Path) -> None:
        compiled = compile_model(model.data, "host", folder, "model")
        (x,), (y,) = compiled.inputs, compiled.outputs
        (folder / "run.c").write_text(
            DRIVER.format(x=f"{x.dtype}_t", y=f"{y.dtype}_t", columns=x.elements, rows=y.elements)
        )
        sources = (*compiled.sources, "run.c")
        path = build_shared(folder, sources, compiled.core, folder / "model.so")
        self.library, self.compiled, self.y = ctypes.CDLL(str(path)), compiled, y
        offsets = state_offsets(compiled.states)
        self.struct = np.dtype(
            {
                "names": [s.name for s in compiled.states],
                "formats": [(s.dtype, (s.elements,)) for s in compiled.states],
                "offsets": offsets,
                "itemsize": state_struct_bytes(compiled),
            }
        )
        self.state = np.zeros(1, self.struct)
        self.scratch = np.zeros(compiled.scratch_bytes + 64, np.uint8)
        self.library.model_reset(_pointer(self.state))

    def run(self, block: Array) -> list[Array]:
        """Outputs, and each state, after every frame."""
        count = len(block)
        y = np.empty((count, self.y.elements), self.y.dtype)
        states = np.zeros(count, self.struct)
        arrays = (self.state, self.scratch, np.ascontiguousarray(block), y, states)
        self.library.run(*map(_pointer, arrays), ctypes.c_int32(count))
        return [y, *(states[name] for name in self.struct.names or ())]


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def difference(expected: list[Array], got: list[Array]) -> int | None:
    """The first step in which anything differs."""
    wrong = np.zeros(len(expected[0]), bool)
    for a, b in zip(expected, got, strict=True):
        wrong |= (a != b).any(axis=1)
    return int(np.argmax(wrong)) if wrong.any() else None


def on_host(job: Job, model: Model) -> tuple[Row, float, list[Array]]:
    """All steps on this machine, the reference's seconds, and its first results."""
    reference, seconds, first, found = Reference(model), 0.0, [], None
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        native = Native(model, Path(folder))
        for at in range(0, job.steps, BLOCK):
            block = frames(model, at, min(BLOCK, job.steps - at))
            before = time.monotonic()
            expected = reference.run(block)
            seconds += time.monotonic() - before
            first = first or expected
            wrong = difference(expected, native.run(block))
            if wrong is not None:
                found = at + wrong
                break
    row = Row(job.name, job.precision, "host", job.steps, found, time.monotonic() - start)
    return row, seconds, first


def on_core(
    job: Job, executor: Any, where: str, inputs: Array, expected: list[Array], every: int = 1
) -> Row:
    """Some steps elsewhere; states are read `every` so many steps, and after the last."""
    start, found = time.monotonic(), None
    for k, frame in enumerate(inputs):
        (y,) = executor.step(frame[None])
        wrong = (y.reshape(-1) != expected[0][k]).any()
        if not wrong and ((k + 1) % every == 0 or k + 1 == len(inputs)):
            states = zip(executor.states(), expected[1:], strict=True)
            wrong = any((a.reshape(-1) != b[k]).any() for a, b in states)
        if wrong:
            found = k
            break
    seconds = time.monotonic() - start
    return Row(job.name, job.precision, where, len(inputs), found, seconds)


def run(job: Job) -> tuple[list[Row], float]:
    """Everything of one model; the seconds are the reference's."""
    model = edgernn.load(job.data)
    row, seconds, expected = on_host(job, model)
    rows = [row]
    inputs = frames(model, 0, min(BLOCK, job.steps))
    few = inputs[: job.emulated]
    for name, core in cores().items():
        if core.emulator:
            emulator = Emulator(compile_model(job.data, name, name="model"))
            rows.append(on_core(job, emulator, name, few, expected))
        elif boards_with(name) and shutil.which(COMMAND):
            board = executors.start(name, job.data)
            rows.append(on_core(job, board, f"{name} (QEMU)", few, expected, every=50))
            executors.close(board)
    some = inputs[: job.compilers]
    for compiler in COMPILERS:
        for level in LEVELS:
            where = f"{COMPILER_CORE}, {compiler} {level}"
            compiled = compile_model(job.data, COMPILER_CORE, name="model")
            try:
                emulator = Emulator(compiled, compiler, optimize=level)
            except MissingDependencyError as error:
                rows.append(Row(job.name, job.precision, where, 0, None, 0.0, str(error)))
                continue
            rows.append(on_core(job, emulator, where, some, expected))
    return rows, seconds


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    for name in options.models:
        for precision in options.precisions:
            data = convert(name, precision)
            yield Job(name, precision, data, options.steps, options.emulated, options.compilers)


def table(rows: list[Row]) -> Table:
    """One line a model; every compiler and level shares a column."""
    result = Table(title="steps equal to TensorFlow Lite Micro, outputs and states")
    result.add_column("model")
    places = list(dict.fromkeys(_column(r) for r in rows))
    for place in places:
        result.add_column(place, justify="right")
    for name, precision in dict.fromkeys((r.model, r.precision) for r in rows):
        mine = [r for r in rows if (r.model, r.precision) == (name, precision)]
        cells = [_cell([r for r in mine if _column(r) == place]) for place in places]
        result.add_row(f"{name} {precision}", *cells)
    return result


def _column(row: Row) -> str:
    return "compilers" if "," in row.where else row.where.removeprefix("cortex-")


def _cell(rows: list[Row]) -> str:
    wrong = [r for r in rows if r.first_difference is not None]
    if wrong:
        return f"[red]{wrong[0].where} differs at {wrong[0].first_difference:,}[/red]"
    counts = [r.steps for r in rows if r.steps]
    if not counts:
        return "-"
    return f"{len(counts)} x {min(counts):,}" if len(rows) > 1 else f"{counts[0]:,}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000, help="on this machine")
    parser.add_argument("--emulated", type=int, default=20_000, help="on each emulated core")
    parser.add_argument("--compilers", type=int, default=500, help="for each compiler and level")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--precisions", nargs="*", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--quick", action="store_true", help="20,000, 500 and 50 steps")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.steps, options.emulated, options.compilers = 20_000, 500, 50
    console, start = Console(), time.monotonic()
    rows: list[Row] = []
    seconds = 0.0
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, maxtasksperchild=1) as pool:
        work = list(jobs(options))
        for done, took in pool.imap_unordered(run, work):
            rows += done
            seconds += took
            wrong = [r for r in done if r.first_difference is not None]
            console.print(
                f"{done[0].model} {done[0].precision}: {sum(r.steps for r in done):,} steps, "
                f"{len(wrong)} places differ, "
                f"{1e6 * took / done[0].steps:.0f} us a step in the reference",
                highlight=False,
            )
    order = list(MODELS)
    rows.sort(key=lambda r: (order.index(r.model), r.precision))
    console.print(table(rows))
    for note in dict.fromkeys(r.note for r in rows if r.note):
        console.print(f"skipped: {note}")
    if shutil.which(COMMAND) is None:
        console.print(f"skipped: cores that only QEMU has ({COMMAND} is not on the PATH)")
    total, wrong = sum(r.steps for r in rows), [r for r in rows if r.first_difference is not None]
    spent = time.monotonic() - start
    console.print(
        f"{total:,} steps compared in {spent:.0f} s ({seconds:.0f} s of them in the reference); "
        f"{len(wrong)} of {len(rows)} runs differ",
        highlight=False,
    )
    if options.json:
        report = {
            "steps": total,
            "bit_exact": not wrong,
            "seconds": round(spent),
            "reference_seconds": round(seconds),
            "runs": [asdict(r) for r in rows],
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
