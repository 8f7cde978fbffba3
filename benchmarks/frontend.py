"""What the audio front end costs on each core, how exact it is, and its speed beside the peer's.

    python benchmarks/frontend.py [--all] [--data FOLDER] [--cores A,B] [--json FILE] [--cc CC]

- instructions of one frame, counted one by one on emulated cores (compare with the 10 ms between
  frames), bytes of code, tables and RAM; on Cortex-M55, whole firmware in QEMU, only the frames;
- whether every integer is that of Python: on spoken digits as one stream (a sample of them, or
  `--all`), and one second each of full-scale square wave, silence and noise;
- the mean absolute error against the formulas in float64, over what is above the floor;
- seconds that ten minutes of sound take in Python, and the speed beside pymicro-features (the front
  end of TensorFlow Lite Micro, which also reduces noise) on this machine, one thread, with windows
  of the same length.

Without the recordings, noise under a moving envelope stands for speech. Leaves with 1 if a frame
differs or a goal is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import targets
from edgernn.frontends.audio import AudioFrontEnd
from targets.frontends import audio as generator
from targets.machine import EmulatedMachine, Machine, machine

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("EDGERNN_DATA", ROOT.parent / "shared" / "data"))
KERNELS = Path(targets.__file__).parent / "kernels"
CORES = ("host", "cortex-m0", "cortex-m4", "cortex-m55")
BOARD = "mps3-an547"
"""Where the Cortex-M55 is, which unicorn does not emulate: firmware in QEMU."""
SAMPLE = 40
"""Recordings of a run without `--all`."""
CHUNK = 8000
GOAL = {("8 kHz log-mel", "cortex-m4"): 120_000}
ERROR_GOAL = 0.05

SETTINGS: dict[str, dict[str, Any]] = {
    "8 kHz log-mel": {"rate": 8000, "window": 256, "hop": 80},
    "8 kHz mfcc": {"rate": 8000, "window": 256, "hop": 80, "output": "mfcc"},
    "8 kHz pcen": {"rate": 8000, "window": 256, "hop": 80, "output": "pcen"},
    "8 kHz agc": {"rate": 8000, "window": 256, "hop": 80, "output": "agc"},
    "16 kHz log-mel": {"rate": 16000, "window": 400, "hop": 160},
}

DRIVER = """
int32_t size(void);
void reset(model_front_end_t *fe);
int32_t run(model_front_end_t *fe, const int16_t *samples, int32_t count, int32_t *features);
int32_t size(void) { return (int32_t)sizeof(model_front_end_t); }
void reset(model_front_end_t *fe) { model_front_end_reset(fe); }
int32_t run(model_front_end_t *fe, const int16_t *samples, int32_t count, int32_t *features) {
  int32_t frames = 0;
  while (count > 0) {
    int64_t time_us;
    int ready;
    const int32_t taken =
        model_front_end_push(fe, samples, NULL, count, features, &time_us, &ready);
    samples += taken;
    count -= taken;
    if (ready) {
      features += FEATURES;
      frames++;
    }
  }
  return frames;
}
"""


def compiled(front_end: AudioFrontEnd, core: str, cc: str | None) -> Machine:
    """The front end's C on a core, with functions that are easy to call."""
    stage = generator.generate(front_end, "model")
    headers = [f'#include "{name}"' for name in stage.files if name.endswith(".h")]
    parts = ["#include <stddef.h>", *headers, stage.declarations, stage.definitions]
    driver = DRIVER.replace("FEATURES", str(front_end.frame_shape[0]))
    files = {name: (KERNELS / name).read_text() for name in stage.files}
    text = "\n".join([*parts, driver])
    return machine({**files, "driver.c": text}, core, ["size", "reset", "run"], cc)


class Running:
    """One stream of the C."""

    def __init__(self, front_end: AudioFrontEnd, built: Machine) -> None:
        self.built, self.hop = built, front_end.hop
        self.state = np.zeros(built.call("size"), np.uint8)
        rows = CHUNK // front_end.hop + 1
        self.features = np.zeros((rows, *front_end.frame_shape), np.int32)
        self.samples = np.zeros(CHUNK, np.int16)
        built.call("reset", self.state)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The frames of any number of samples; arrays keep their sizes, so places are reused."""
        found = []
        for start in range(0, len(samples), CHUNK):
            part = samples[start : start + CHUNK]
            self.samples[: len(part)] = part
            count = self.built.call("run", self.state, self.samples, len(part), self.features)
            found.append(self.features[:count].copy())
        return np.concatenate(found)

    def instructions(self, samples: np.ndarray) -> int | None:
        """Of one frame, after the samples of some others."""
        if not isinstance(self.built, EmulatedMachine):
            return None
        counts = []
        for _ in range(3):
            hop = samples[: self.hop]
            samples = samples[self.hop :]
            self.samples[: self.hop] = hop
            arguments = (self.state, self.samples, self.hop, self.features)
            counts.append(self.built.count("run", *arguments))
        return max(counts)


def on_board(name: str, signals: Sequence[np.ndarray], cc: str | None) -> dict[str, Any]:
    """A row for the firmware, whose model (of random weights) only has to be there."""
    import keras

    from converters import convert
    from targets.pipelines import BoardEngine

    front_end = AudioFrontEnd(**SETTINGS[name])
    inputs = keras.Input((None, *front_end.frame_shape))
    model = keras.Model(inputs, keras.layers.GRU(2, return_sequences=True)(inputs))
    engine = BoardEngine(
        convert(model, [signals[0][:CHUNK]], precision="int8", front_end=front_end),
        BOARD,
        cc,
        features=True,
    )
    frames = differing = 0
    try:
        for signal in signals:
            engine.reset()
            expected, found, before = front_end.stream().push(signal).features, [], 0
            for start in range(0, len(signal), front_end.hop):
                part = np.ascontiguousarray(signal[start : start + front_end.hop])
                made, _, features, _ = engine.push(part, None)
                found += [features] if made > before else []
                before = made
            frames += len(expected)
            wrong = np.array(found) != expected if len(found) == len(expected) else [[True]]
            differing += int(np.any(wrong, axis=1).sum())
    finally:
        engine.close()
    numbers = dict.fromkeys(("instructions_per_frame", "goal", "code", "tables", "ram"))
    return {
        "settings": name,
        "core": "cortex-m55",
        "fft": front_end.size,
        "features": front_end.frame_shape[0],
        **numbers,
        "frames": frames,
        "differing_frames": differing,
        "mean_error": error(signals[0], front_end),
    }


def speech(data: Path, whole: bool) -> tuple[np.ndarray, int]:
    """Recordings one after the other, and how many they are."""
    paths = sorted((data / "spoken-digits").glob("*.wav"))
    if not paths:
        random, n = np.random.default_rng(0), 20 * 8000
        envelope = 3000 * np.abs(np.sin(np.arange(n) / 1500)) ** 3
        return np.rint(envelope * random.normal(size=n)).clip(-32768, 32767).astype(np.int16), 0
    chosen = paths if whole else paths[:: max(1, len(paths) // SAMPLE)]
    parts = []
    for path in chosen:
        with wave.open(str(path)) as file:
            parts.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
    return np.concatenate(parts), len(chosen)


def extremes(rate: int) -> dict[str, np.ndarray]:
    random, n = np.random.default_rng(0), np.arange(rate)
    return {
        "square": np.where(n // 10 % 2, 32767, -32768).astype(np.int16),
        "silence": np.zeros(rate, np.int16),
        "noise": random.integers(-32768, 32768, rate).astype(np.int16),
    }


def reference(samples: np.ndarray, front_end: AudioFrontEnd) -> tuple[np.ndarray, np.ndarray]:
    """Features in float64, and the bands' energies."""
    window, size, rate = front_end.window, front_end.size, front_end.rate
    frames = np.lib.stride_tricks.sliding_window_view(samples / 32768, window)[:: front_end.hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(frames * hann, size)) ** 2

    def mel(hertz: Any) -> Any:
        return 1127 * np.log1p(np.asarray(hertz) / 700)

    edges = np.linspace(mel(front_end.low), mel(front_end.highest), front_end.bands + 2)
    at = mel(np.arange(size // 2 + 1) * rate / size)
    corners = zip(edges, edges[1:], edges[2:], strict=False)
    weights = np.array([np.interp(at, corner, [0, 1, 0]) for corner in corners])
    energies = power @ weights.T
    if front_end.output == "pcen":
        p = front_end.pcen
        add = itertools.accumulate(
            energies, lambda m, e: (1 - p["smoothing"]) * m + p["smoothing"] * e
        )
        gained = energies / (np.array(list(add)) + front_end.floor) ** p["gain"]
        return (gained + p["bias"]) ** p["root"] - p["bias"] ** p["root"], energies
    logs = np.log(energies + front_end.floor)
    if front_end.output == "log-mel":
        return logs, energies
    if front_end.output == "agc":
        return gained_by(front_end, logs, edges[1:-1]), energies
    n, k = np.arange(front_end.bands), np.arange(front_end.coefficients)[:, np.newaxis]
    basis = np.sqrt(2 / front_end.bands) * np.cos(np.pi * k * (n + 0.5) / front_end.bands)
    basis[0] /= np.sqrt(2)
    return logs @ basis.T, energies


def gained_by(front_end: AudioFrontEnd, logs: np.ndarray, mels: np.ndarray) -> np.ndarray:
    """Automatic gain control of log bands with these centres."""
    g, decibel = front_end.agc, np.log(10) / 10
    turn = 2 * np.pi * 700 * np.expm1(mels / 1127) / front_end.rate
    lifted = logs + np.log(1 + g["emphasis"] ** 2 - 2 * g["emphasis"] * np.cos(turn))
    fall, least = g["release"] * decibel / front_end.frame_rate, g["least"] * decibel
    levels = itertools.accumulate(
        lifted.max(axis=1), lambda level, peak: max(level - fall, peak, least), initial=least
    )
    below = lifted - np.array(list(levels))[1:, np.newaxis]
    return np.maximum(below, -g["range"] * decibel)


def error(samples: np.ndarray, front_end: AudioFrontEnd) -> float:
    """Mean absolute difference of the features, in their own unit."""
    part = samples[: 60 * front_end.rate]
    expected, energies = reference(part, front_end)
    difference = np.abs(front_end.features(part) - expected)
    if front_end.output == "log-mel":
        difference = difference[energies > front_end.floor]
    return float(difference.mean())


def measure(name: str, core: str, samples: np.ndarray, cc: str | None) -> dict[str, Any]:
    """One row of the table."""
    front_end = AudioFrontEnd(**SETTINGS[name])
    signals = [samples, *extremes(front_end.rate).values()]
    if core == "cortex-m55":
        return on_board(name, signals, cc)
    built = compiled(front_end, core, cc if core != "host" else None)
    frames = differing = 0
    for signal in signals:
        expected = front_end.stream().push(signal).features
        found = Running(front_end, built).push(signal)
        frames += len(expected)
        if found.shape != expected.shape:
            differing += len(expected)
        else:
            differing += int((found != expected).any(axis=1).sum())
    running = Running(front_end, built)
    running.push(samples[:4000])
    sections = built.image.sections if isinstance(built, EmulatedMachine) else {}
    return {
        "settings": name,
        "core": core,
        "fft": front_end.size,
        "features": front_end.frame_shape[0],
        "instructions_per_frame": running.instructions(samples[4000:]),
        "goal": GOAL.get((name, core)),
        "code": sections.get(".text"),
        "tables": sections.get(".rodata"),
        "ram": built.call("size"),
        "frames": frames,
        "differing_frames": differing,
        "mean_error": error(samples, front_end),
    }


def best(calls: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """The shortest time of each, the calls taking turns."""
    times = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def speeds() -> dict[str, float | None]:
    """Times real time on this machine, at 16 kHz with windows of 30 ms."""
    front_end = AudioFrontEnd(rate=16000, window=480, hop=160)
    minute = np.random.default_rng(0).normal(0, 2000, 60 * 16000).astype(np.int16)
    running = Running(front_end, compiled(front_end, "host", None))
    stream = front_end.stream()

    def hop_by_hop() -> None:
        for start in range(0, 5 * 16000, 160):
            stream.push(minute[start : start + 160])

    calls = {
        "C": lambda: running.push(minute),
        "Python, whole recording": lambda: front_end.features(minute),
        "Python, hop by hop": hop_by_hop,
    }
    try:
        from edgernn.frontends.micro import MicroFrontEnd

        micro = MicroFrontEnd()
        calls["pymicro-features"] = lambda: micro.features(minute)
    except ValueError as missing:
        Console().print(f"[yellow]{missing}")
    found = best(calls)
    seconds = {name: 5 if name.endswith("hop") else 60 for name in found}
    faster: dict[str, float | None] = {name: seconds[name] / t for name, t in found.items()}
    ten = np.tile(minute, 10)
    start = time.perf_counter()
    front_end.features(ten)
    faster["seconds for ten minutes, Python"] = time.perf_counter() - start
    peer = faster.get("pymicro-features")
    faster["C over pymicro-features"] = seconds["C"] / found["C"] / peer if peer else None
    return faster


def shown(row: dict[str, Any]) -> list[str]:
    def number(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    same = row["differing_frames"] == 0
    told = "all" if same else f"[red]{row['frames'] - row['differing_frames']:,}"
    return [
        row["settings"],
        row["core"],
        str(row["fft"]),
        *(number(row[name]) for name in ("instructions_per_frame", "code", "tables", "ram")),
        f"{told} of {row['frames']:,}",
        f"{row['mean_error']:.5f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="all recordings, not a sample")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cc", help="a C compiler for the Cortex-M cores, instead of zig")
    options = parser.parse_args()
    samples, recordings = speech(options.data, options.all)
    cores = options.cores.split(",")
    rows = [measure(name, core, samples, options.cc) for name in SETTINGS for core in cores]
    heads = "settings,core,FFT,instructions/frame,code,tables,RAM,bit-exact frames,error"
    table = Table(*heads.split(","), title=f"Audio front end, {recordings} recordings")
    for row in rows:
        table.add_row(*shown(row))
    console = Console(width=120)
    console.print(table)
    faster = speeds()
    console.print("Times real time on this machine, 16 kHz, windows of 30 ms:")
    for name, value in faster.items():
        console.print(f"{name}: {'-' if value is None else f'{value:,.2f}'}")
    if options.json:
        document = {"recordings": recordings, "rows": rows, "times_real_time": faster}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    failed = [row for row in rows if row["differing_frames"]]
    failed += [r for r in rows if r["goal"] and r["instructions_per_frame"] > r["goal"]]
    failed += [r for r in rows if "log-mel" in r["settings"] and r["mean_error"] > ERROR_GOAL]
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
