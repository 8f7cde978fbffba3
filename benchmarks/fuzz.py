"""The compiler on mutated models: each gives a result or an error of edgernn's own, soon.

Half of the cases are files with mutated bytes, the other half graphs mutated after reading, which
get past the reader. Anything but a result or an `EdgernnError`, more than 10 seconds, or more than
1 GB of memory is a failure; failing cases are kept for a look.

    python benchmarks/fuzz.py [--cases 1000000] [--seed 0] [--jobs N] [--build N] [--json FILE]
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import multiprocessing
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from edgernn.errors import EdgernnError
from edgernn.tflite import Graph, read
from targets.compile import compile_model
from targets.compiled import Compiled
from targets.cores import core
from targets.generate import compile_graph
from targets.toolchain import WARNINGS
from tests.targets.mutation import mutate_bytes, mutate_graph, seeds

CORES = ("portable", "cortex-m0", "cortex-m4", "host")
BLOCK = 2000
SECONDS = 10
MEMORY = 1 << 30


class TooSlowError(Exception):
    """A case took longer than it may."""


@functools.cache
def corpus() -> list[tuple[bytes, Graph]]:
    """The seeds, and what the reader makes of them."""
    return [(data, read(data)) for data in seeds()]


def make(seed: int) -> tuple[bytes, Graph | None, str]:
    """The case of a number: its bytes, or its graph, and the core to compile for."""
    random = Random(seed)
    data, graph = random.choice(corpus())
    target = random.choice(CORES)
    if random.random() < 0.5:
        return mutate_bytes(data, random), None, target
    return data, mutate_graph(graph, random), target


def attempt(seed: int) -> Compiled | EdgernnError:
    """Compile a case."""
    data, graph, target = make(seed)
    try:
        if graph is None:
            return compile_model(data, target)
        return compile_graph(graph, data, core(target), "model")
    except EdgernnError as error:
        return error


def builds(compiled: Compiled, folder: Path) -> str | None:
    """The first complaint of gcc about a result, if it has one."""
    for path in folder.iterdir():
        path.unlink()
    compiled.write(folder)
    sources = [str(folder / name) for name in compiled.sources]
    result = subprocess.run(
        ["gcc", "-fsyntax-only", *WARNINGS, *sources], capture_output=True, text=True
    )
    lines = [line for line in result.stderr.splitlines() if "error" in line]
    return (lines or [result.stderr])[0] if result.returncode else None


def _alarm(*_: Any) -> None:
    raise TooSlowError(f"more than {SECONDS} s")


def run(block: tuple[int, int, int]) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Count what the cases of a block give, and list the failures with their numbers."""
    first, count, build = block
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY + (1 << 30), resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, _alarm)
    counts: Counter[str] = Counter()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                outcome = attempt(seed)
            except Exception:
                signal.setitimer(signal.ITIMER_REAL, 0)
                failures.append((seed, traceback.format_exc()))
                counts["failures"] += 1
                continue
            signal.setitimer(signal.ITIMER_REAL, 0)
            if isinstance(outcome, EdgernnError):
                counts["errors"] += 1
                counts["lines"] += "\n" in str(outcome)
                continue
            counts["results"] += 1
            if build and counts["results"] % build == 0 and not outcome.core.dsp:
                counts["built"] += 1
                complaint = builds(outcome, Path(folder))
                if complaint is not None:
                    failures.append((seed, complaint))
                    counts["failures"] += 1
    return counts, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--build", type=int, default=200, help="build every so manieth result")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console()
    build = options.build if shutil.which("gcc") else 0
    end = options.seed + options.cases
    blocks = [(first, min(BLOCK, end - first), build) for first in range(options.seed, end, BLOCK)]
    start = time.monotonic()
    counts: Counter[str] = Counter()
    failures: dict[str, tuple[int, str]] = {}
    with multiprocessing.Pool(options.jobs) as pool:
        for done, (part, failed) in enumerate(pool.imap_unordered(run, blocks), 1):
            counts += part
            for seed, text in failed:
                kind = hashlib.sha256(text.encode()).hexdigest()[:8]
                if kind not in failures:
                    failures[kind] = (seed, text)
                    console.print(f"case {seed}:\n{text}", markup=False, style="red")
            if done % 25 == 0:
                console.print(f"{done * BLOCK:,} cases, {dict(counts)}", markup=False)
    seconds = time.monotonic() - start
    report = {"cases": options.cases, "seconds": round(seconds), **counts}
    console.print(f"{options.cases:,} cases in {seconds:.0f} s: {dict(counts)}", markup=False)
    if options.json:
        kept = [{"case": seed, "text": text} for seed, text in failures.values()]
        options.json.write_text(json.dumps({**report, "failing": kept}, indent=1) + "\n")
    return 1 if counts["failures"] or counts["lines"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
