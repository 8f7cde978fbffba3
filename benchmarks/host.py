"""Speed on this machine, as ratios and rates within one run.

    python benchmarks/host.py [--json FILE]

- what `Stream.push` costs over the bare interpreter: set every input, invoke, get every output;
- how much faster the compiled library is than LiteRT;
- how many frames a second calibration takes, for two GRU(64);
- how long converting that model takes in a fresh process, TensorFlow's import included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

FEATURES, UNITS, OUTPUTS = 40, 64, 12
ROUNDS, STEPS = 60, 400
GOALS = {"push": 1.3, "calibration": 5_000, "convert": 10.0}


def keras_model(layers: int, cell: str = "GRU") -> Any:
    from converters.quiet import quiet

    with quiet():
        import keras

    keras.utils.set_random_seed(0)
    make = getattr(keras.layers, cell)
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            *[make(UNITS, return_sequences=True) for _ in range(layers)],
            keras.layers.Dense(OUTPUTS, activation="softmax"),
        ]
    )


def recordings(count: int, length: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(rng.normal(size=(count, length, FEATURES)).astype(np.float32))


def interleaved(calls: Sequence[Callable[[], None]]) -> list[float]:
    """The best time of each call over many rounds, the calls taking turns."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def push_ratios(precision: str, cell: str) -> dict[str, float]:
    """`push` and `push_raw` of one frame over the bare LiteRT calls on the same file."""
    import edgernn

    model = edgernn.convert(keras_model(1, cell), recordings(32, 100), precision=precision)
    frames = recordings(1, STEPS)[0]
    stream = model.stream("litert")
    raw = (frames * 20).astype(model.x.dtype)
    bare = bare_loop(model, raw)

    def push() -> None:
        for frame in frames:
            stream.push(frame)

    def push_raw() -> None:
        for frame in raw:
            stream.push_raw(frame)

    base, floats, integers = interleaved([bare, push, push_raw])
    return {"push": floats / base, "push_raw": integers / base}


def bare_loop(model: Any, raw: np.ndarray) -> Callable[[], None]:
    """The least a user of the interpreter writes: tensors by index, state carried by hand."""
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = Interpreter(model_content=model.data, num_threads=1)
    interpreter.allocate_tensors()
    x, y = model.x.index, model.y.index
    states = [(s.input.index, s.output.index, np.array(s.initial)) for s in model.states]
    set_tensor, get_tensor, invoke = (
        interpreter.set_tensor,
        interpreter.get_tensor,
        interpreter.invoke,
    )

    def loop() -> None:
        carried = [value.reshape(model.graph.tensors[i].shape) for i, _, value in states]
        for frame in raw:
            set_tensor(x, frame[None])
            for (source, _, _), value in zip(states, carried, strict=True):
                set_tensor(source, value)
            invoke()
            get_tensor(y)
            carried = [get_tensor(target) for _, target, _ in states]

    return loop


def native_ratios(precision: str) -> dict[str, float]:
    """LiteRT's time over the compiled library's, for blocks of frames and frame by frame."""
    import edgernn

    model = edgernn.convert(keras_model(1), recordings(32, 100), precision=precision)
    raw = (recordings(1, 2_000)[0] * 20).astype(model.x.dtype)
    streams = [model.stream(backend) for backend in ("litert", "native")]
    blocks = interleaved([lambda s=s: s.push_raw(raw) for s in streams])
    frames = interleaved([lambda s=s: [s.push_raw(f) for f in raw[:STEPS]] for s in streams])
    return {"block": blocks[0] / blocks[1], "frame": frames[0] / frames[1]}


def calibration_rate() -> float:
    """Frames a second, for two GRU(64) and 64 sequences of 500 frames."""
    from converters.calibration import calibrate
    from converters.trace import trace

    step = trace(keras_model(2))
    sequences = recordings(64, 500)
    start = time.perf_counter()
    sample = calibrate(step, sequences)
    return sample.frames / (time.perf_counter() - start)


def convert_seconds() -> float:
    """`edgernn convert` of two GRU(64), from the shell's point of view."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        keras_model(2).save(here / "model.keras")
        np.save(here / "calibration.npy", np.stack(recordings(64, 100)))
        command = [sys.executable, "-m", "edgernn", "convert", "model.keras"]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--calibration", "calibration.npy", "-o", "model.tflite"],
            cwd=here,
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()

    table = Table("measured", "value", "goal")
    results: dict[str, Any] = {"push": {}}
    for cell in ("GRU", "LSTM"):
        for precision in ("int8", "int16x8"):
            ratios = push_ratios(precision, cell)
            results["push"][f"{cell} {precision}"] = ratios
            table.add_row(
                f"push of one frame over the bare calls, {cell}({UNITS}) {precision}",
                f"{ratios['push']:.2f} x (raw: {ratios['push_raw']:.2f} x)",
                f"<= {GOALS['push']} x",
            )
    for precision in ("int8", "int16x8"):
        results.setdefault("native", {})[precision] = ratios = native_ratios(precision)
        table.add_row(
            f"compiled library, times faster than LiteRT, GRU({UNITS}) {precision}",
            f"{ratios['block']:.1f} x (frame by frame: {ratios['frame']:.1f} x)",
            ">= 10 x",
        )
    results["calibration_frames_per_second"] = rate = calibration_rate()
    table.add_row(f"calibration, two GRU({UNITS})", f"{rate:,.0f} frames/s", ">= 5,000 frames/s")
    results["convert_seconds"] = seconds = convert_seconds()
    table.add_row(f"edgernn convert, two GRU({UNITS}), fresh process", f"{seconds:.1f} s", "< 10 s")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
