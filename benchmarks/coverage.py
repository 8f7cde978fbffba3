"""What converts, streams and compiles, beside the stock converter: one row a model.

    python benchmarks/coverage.py [--models PATTERN ...] [--no-stock] [--jobs 2] [--json FILE]

For each Keras model of benchmarks/coverage_models.py and coverage_files.py, with random weights:

- float: the step, streamed, equals `model.predict` of the whole sequence within 1e-5;
- int8, int16x8: the streamed error, root mean square in % of the output's range;
- LiteRT, 2.14 (tflite-runtime): both quantized files run there; most last bits from TFLM;
- C: generated C equals TFLM bit for bit, outputs and states;
- stock: what `tf.lite.TFLiteConverter` makes of it in a process of its own, for it may crash: a
  float and an int8 file without Flex operators that give what Keras gives (int8: within 10 % of the
  range) for a whole sequence, and an int8 file that does so frame by frame.

A model that cannot stream must be refused, by a message that names why.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import multiprocessing
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.coverage_data import built, errors, predicted, sequences
from benchmarks.coverage_stock import attempts

ROOT = Path(__file__).resolve().parents[1]
Array = npt.NDArray[Any]
PRECISIONS = ("int8", "int16x8")
FLOAT_TOLERANCE = 1e-5
FRAMES = 200
"""Raw frames of the bit-exactness check."""


@dataclass
class Row:
    """What was found out about one model; empty where it was not reached."""

    name: str
    group: str
    expected: str = "streams"
    outcome: str = ""
    float_error: float | None = None
    error: dict[str, float] = field(default_factory=dict)
    last_bits: dict[str, int] = field(default_factory=dict)
    bit_exact: bool | None = None
    stock: dict[str, str] = field(default_factory=dict)
    precisions: tuple[str, ...] = PRECISIONS

    @property
    def good(self) -> bool:
        """Whether the row is what it should be."""
        if self.expected == "refused":
            return self.outcome == "refused"
        return (
            self.outcome == "streams"
            and self.bit_exact is True
            and all(
                f"{p} {b}" in self.last_bits for p in self.precisions for b in ("litert", "2.14")
            )
        )


def streamed(converted: Any, sequence: Any) -> list[Array]:
    """The stream on a sequence: rows of each output."""
    stream = converted.stream()
    if isinstance(sequence, tuple):
        frames = max(len(a) for a in sequence if a.ndim > 1)
        rows = [
            stream.push(tuple(a[t] if a.ndim > 1 else a for a in sequence)) for t in range(frames)
        ]
        if isinstance(rows[0], dict):
            return [np.array([row[k] for row in rows]) for k in rows[0]]
        return [np.array(rows)]
    found = stream.push(sequence)
    return list(found.values()) if isinstance(found, dict) else [found]


def measure(name: str, folder: str) -> Row:
    """Everything but the stock converter and tflite-runtime; leaves the files in `folder`."""
    import edgernn
    from benchmarks.coverage_files import CASES
    from edgernn.errors import EdgernnError

    case = CASES[name]
    row = Row(name, case.group, "refused" if case.refused else "streams")
    try:
        from converters.loader import as_graph

        model = as_graph(built(name))
        data = sequences(model, 12)
        if case.stock:  # which refuses 16x8 for the fused operator
            row.precisions = ("int8",)

        def converter(precision: str) -> Any:
            if case.stock:
                return _stock_model(model, data, case.stock, precision)
            return edgernn.convert(model, data, precision=precision, **case.options)

        converted = converter("float32")
        if case.refused:
            row.outcome = "converts, though it should not"
            return row
        expected = predicted(model, data[0])
        row.float_error, _ = errors(expected, streamed(converted, data[0]))
        if row.float_error > FLOAT_TOLERANCE:
            row.outcome = "differs from Keras"
            return row
        row.bit_exact = True
        for precision in row.precisions:
            converted = converter(precision)
            _, row.error[precision] = errors(expected, streamed(converted, data[0]))
            _on_runtimes(row, converted, precision, Path(folder))
        row.outcome = "streams"
    except EdgernnError as error:
        message = str(error)
        named = case.refused and re.search(case.refused, message)
        row.outcome = "refused" if named else f"refused: {message}"
    except Exception as error:  # a row tells what went wrong; the others go on
        row.outcome = f"{type(error).__name__}: {str(error)[:200]}"
    return row


def _stock_model(model: Any, data: Any, frames: int, precision: str) -> Any:
    """What edgernn loads from the stock converter's file of a model."""
    import tensorflow as tf

    import edgernn
    from benchmarks.coverage_stock import stock_convert

    return edgernn.load(stock_convert(tf, model, data, frames, precision == "int8", bare=True))


def _on_runtimes(row: Row, converted: Any, precision: str, folder: Path) -> None:
    """Raw frames through every interpreter and the generated C."""
    x = raw_frames(converted, FRAMES)
    reference = converted.stream("tflm")
    expected = _push_raw(reference, x)
    native = converted.stream("native")
    same = all(
        np.array_equal(a, b) for a, b in zip(expected, _push_raw(native, x), strict=True)
    ) and (native.save() == reference.save())
    row.bit_exact = bool(row.bit_exact and same)
    got = _push_raw(converted.stream("litert"), x)
    row.last_bits[f"{precision} litert"] = last_bits(expected, got)
    path = folder / f"{re.sub(r'[^a-z0-9]+', '_', row.name.lower())}.{precision}.tflite"
    converted.save(path)
    np.savez(f"{path}.npz", *(x if isinstance(x, tuple) else (x,)))
    np.savez(f"{path}.tflm.npz", *expected)


def raw_frames(converted: Any, count: int) -> Any:
    """Frames of small and of large integers."""
    random = np.random.default_rng(0)
    arrays = []
    for name, port in converted.inputs.items():
        frames = converted.frames
        shape = frames.shape if frames.single else frames.dtype[name].shape
        if port.dtype == "int32":
            from benchmarks.coverage_rows import TOKENS

            arrays.append(random.integers(0, TOKENS, (count, *shape)).astype(np.int32))
            continue
        info = np.iinfo(str(port.numpy_dtype))
        wide = random.integers(info.min, info.max + 1, (count, *shape))
        wide[: count // 2] //= 4
        arrays.append(wide.astype(port.numpy_dtype))
    return tuple(arrays) if len(arrays) > 1 else arrays[0]


def _push_raw(stream: Any, x: Any) -> list[Array]:
    found = stream.push_raw(x)
    return list(found.values()) if isinstance(found, dict) else [found]


def last_bits(a: Sequence[Array], b: Sequence[Array]) -> int:
    """The largest difference of integers."""
    pairs = zip(a, b, strict=True)
    return max(int(np.abs(x.astype(np.int64) - y.astype(np.int64)).max()) for x, y in pairs)


OLD = """
import sys, numpy, edgernn
for path in sys.argv[1:]:
    arrays = list(numpy.load(path + ".npz").values())
    try:
        found = edgernn.load(path).stream("tflite-runtime").push_raw(
            tuple(arrays) if len(arrays) > 1 else arrays[0])
        found = list(found.values()) if isinstance(found, dict) else [found]
        numpy.savez(path + ".old.npz", *found)
    except Exception as error:
        print(path, error, file=sys.stderr)
"""


def on_tflite_runtime(rows: Sequence[Row], folder: Path, console: Console) -> None:
    """Run the files of `folder` in tflite-runtime 2.14, in an environment of its own."""
    version = sys.version_info[:2]
    python = sys.executable if version in ((3, 10), (3, 11)) else shutil.which("python3.11")
    if python is None:
        console.print("tflite-runtime 2.14 needs Python 3.10 or 3.11: column left empty")
        return
    home = folder / "venv"
    subprocess.run([python, "-m", "venv", home], check=True)
    packages = ("tflite-runtime==2.14.0", "numpy<2", "click", "rich")
    subprocess.run([home / "bin/pip", "install", "--quiet", *packages], check=True)
    paths = sorted(str(p) for p in folder.glob("*.tflite"))
    subprocess.run([home / "bin/python", "-c", OLD, *paths], cwd=ROOT, check=True)
    for row in rows:
        for precision in PRECISIONS:
            stem = f"{re.sub(r'[^a-z0-9]+', '_', row.name.lower())}.{precision}.tflite"
            if (folder / f"{stem}.old.npz").exists():
                expected = list(np.load(folder / f"{stem}.tflm.npz").values())
                got = list(np.load(folder / f"{stem}.old.npz").values())
                row.last_bits[f"{precision} 2.14"] = last_bits(expected, got)


# The table


def table(rows: Sequence[Row]) -> Table:
    """One line a model."""
    result = Table(title="what streams, beside the stock converter")
    for column in ("model", "result", "float", "int8 %", "16x8 %", "LiteRT", "2.14", "C"):
        result.add_column(column)
    for what in ("float", "int8", "streams"):
        result.add_column(f"stock {what}")
    for row in rows:
        colour = "green" if row.good else "red"
        result.add_row(
            row.name,
            f"[{colour}]{row.outcome[:60]}[/]",
            "" if row.float_error is None else f"{row.float_error:.0e}",
            *(f"{row.error[p]:.2f}" if p in row.error else "" for p in PRECISIONS),
            *(
                "/".join(str(row.last_bits.get(f"{p} {b}", "-")) for p in PRECISIONS)
                for b in ("litert", "2.14")
            ),
            {True: "=", False: "[red]differs[/]", None: ""}[row.bit_exact],
            *(row.stock.get(what, "") for what in ("float", "int8", "streams")),
        )
    return result


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """N of M, for us and for the stock converter."""
    causal = [r for r in rows if r.expected == "streams"]
    refused = [r for r in rows if r.expected == "refused"]
    return {
        "models": len(rows),
        "stream": f"{sum(r.good for r in causal)} of {len(causal)}",
        "refused_by_name": f"{sum(r.good for r in refused)} of {len(refused)}",
        **{
            f"stock_{what}": f"{sum(r.stock.get(what) == 'yes' for r in causal)} of {len(causal)}"
            for what in ("float", "int8", "streams")
            if any(r.stock for r in rows)
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["*"], help="patterns of names or groups")
    parser.add_argument("--no-stock", action="store_true", help="leave the stock converter out")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from benchmarks.coverage_files import CASES

    names = [
        name
        for name, case in CASES.items()
        if any(fnmatch.fnmatch(s, p) for s in (name, case.group) for p in options.models)
    ]
    console = Console(width=None if sys.stdout.isatty() else 170)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        with ProcessPoolExecutor(options.jobs, context) as pool:
            rows = []
            for row in pool.map(measure, names, [folder] * len(names)):
                rows.append(row)
                console.print(f"{row.name}: {row.outcome[:150]}", highlight=False, markup=False)
        on_tflite_runtime(rows, Path(folder), console)
        if not options.no_stock:
            with multiprocessing.pool.ThreadPool(options.jobs) as threads:
                found = threads.map(lambda row: attempts(row.name), rows)
            for row, outcomes in zip(rows, found, strict=True):
                row.stock = outcomes
    console.print(table(rows))
    totals = summary(rows)
    console.print_json(json.dumps(totals))
    if options.json:
        document = {**totals, "rows": [asdict(r) for r in rows]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
