"""Whole pipelines on real recordings: bit-exact everywhere, and how fast they are here.

Trains a spoken-digit GRU that listens all the time and a wrist-motion GRU that names activities,
briefly, and converts them with their front ends and detectors. Then, for each: predictions and
events of Python against the generated C on this machine, on emulated Cortex-M0 and M4 and in
firmware on a Cortex-M55, and what a frame costs there. At last a long stream against the clock.

    python benchmarks/pipeline.py --data ../shared/data [--minutes 10] [--hours 6] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from edgernn.frontends.audio import AudioFrontEnd
from edgernn.frontends.sensor import SensorFrontEnd
from edgernn.model import Model
from edgernn.recordings import read_recordings
from targets.pipelines import MachineEngine, PythonPipeline, start_pipeline

Array = np.ndarray[Any, Any]

TARGETS = ("host", "cortex-m0", "cortex-m4", "cortex-m55")
DIGITS = AudioFrontEnd(rate=8000, window=256, hop=80, bands=40, low=125)
TRIGGER = {
    "kind": "trigger",
    "threshold": 0.6,
    "smoothing": 8,
    "pause": 0.3,
    "ignore": ["silence"],
}
AXES = ("x_acc", "y_acc", "z_acc", "x_gyro", "y_gyro", "z_gyro")
MOTION = SensorFrontEnd(100.0, AXES, policy="reset", max_gap=0.5)
VOTE = {"kind": "majority", "window": 0.6, "minimum": 0.2}
LONG_BLOCK = 60.0
"""Seconds that the long stream pushes at once."""


def digits(folder: Path) -> dict[str, list[Array]]:
    """Samples of every recording, by word."""
    found: dict[str, list[Array]] = {}
    for recording in read_recordings(folder, DIGITS):
        found.setdefault(recording.path.name.split("_")[0], []).append(recording.samples)
    return found


def strung(words: dict[str, list[Array]], seconds: float, seed: int) -> tuple[Array, Array]:
    """Words one after the other with pauses, over a little noise; and each sample's class.

    A word's class begins in its middle and lasts a little longer than the word; 0 is silence.
    """
    random = np.random.default_rng(seed)
    names, parts, classes, length = sorted(words), [], [], 0
    while length < seconds * DIGITS.rate:
        word = int(random.integers(len(names)))
        takes = words[names[word]]
        samples = takes[int(random.integers(len(takes)))]
        pause = int(random.integers(DIGITS.rate // 4, DIGITS.rate))
        parts += [samples, np.zeros(pause, np.int16)]
        label = np.zeros(len(samples) + pause, np.int64)
        label[len(samples) // 2 : len(samples) + DIGITS.rate // 8] = word + 1
        classes.append(label)
        length += len(label)
    joined = np.concatenate(parts) + random.normal(0, 30, length)
    return np.clip(np.rint(joined), -32768, 32767).astype(np.int16), np.concatenate(classes)


def train(features: Sequence[Array], classes: Sequence[Array], outputs: int, epochs: int) -> Any:
    """A GRU that gives a class with every frame."""
    import keras

    keras.utils.set_random_seed(0)
    x, y = np.stack(features), np.stack(classes)
    layers = keras.layers
    normalise = layers.Normalization()
    normalise.adapt(x.reshape(-1, x.shape[-1]))
    model = keras.Sequential(
        [
            keras.Input((None, x.shape[-1])),
            normalise,
            layers.GRU(48, return_sequences=True),
            layers.Dense(outputs, "softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.004), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=16, epochs=epochs, verbose=0)
    return model


def keyword_model(folder: Path, epochs: int) -> tuple[Model, dict[str, list[Array]]]:
    """Trained on strings of digits, converted with its front end and trigger."""
    from converters import convert

    words = digits(folder)
    features, classes = [], []
    for seed in range(160):
        samples, labels = strung(words, 6.0, seed)
        one = DIGITS.features(samples[: 6 * DIGITS.rate])
        features.append(one)
        classes.append(labels[DIGITS.window - 1 :: DIGITS.hop][: len(one)])
    model = train(features, classes, len(words) + 1, epochs)
    calibration = [strung(words, 6.0, seed)[0] for seed in range(12)]
    labels = ["silence", *sorted(words)]
    made = convert(model, calibration, front_end=DIGITS, detector=TRIGGER, labels=labels)
    return made, words


def motion_model(folder: Path, epochs: int) -> tuple[Model, list[Any]]:
    """Trained on windows of the recordings, converted with its front end and vote."""
    from converters import convert

    paths = sorted(folder.glob("s*_sw.csv"))
    recordings = [recording for path in paths for recording in read_recordings(path, MOTION)]
    names: list[str] = []
    features, classes = [], []
    pairs = [(r.samples, r.times) for r in recordings]
    learned = MOTION.learn(pairs)
    for recording in recordings:
        frames = learned.stream().push(recording.samples, recording.times)
        text = np.genfromtxt(recording.path, str, delimiter=",", skip_header=1, usecols=7)
        for name in np.unique(text):
            if name not in names:
                names.append(str(name))
        labels = np.array([names.index(str(t)) for t in text])
        at = np.searchsorted(recording.times, frames.times).clip(0, len(labels) - 1)
        x, y = frames.features * np.float32(learned.scale), labels[at]
        for start in range(0, len(x) - 400, 200):
            features.append(x[start : start + 400])
            classes.append(y[start : start + 400])
    model = train(features, classes, len(names), epochs)
    sample = [learned.from_real(s) for s, _ in pairs[::16]]
    made = convert(model, sample, front_end=learned, detector=VOTE, labels=names)
    return made, recordings


def compare(model: Model, streams: Sequence[tuple[Array, Array | None]]) -> list[dict[str, Any]]:
    """Every target on every stream of samples against Python with the native backend."""
    rows = []
    expected = [PythonPipeline(model, "native").push(*stream) for stream in streams]
    for target in TARGETS:
        same, total, events, equal_events = 0, 0, 0, 0
        started = time.perf_counter()
        for stream, wanted in zip(streams, expected, strict=True):
            pipeline = start_pipeline(target, model)
            try:
                got = pipeline.push(*stream)
            finally:
                pipeline.close()
            equal = (got.scores == wanted.scores[got.seen]).all(axis=1).sum()
            same += int(equal) + wanted.total - len(got.seen)
            total += wanted.total
            events += len(wanted.events)
            pairs = zip(got.events, wanted.events, strict=False)
            equal_events += sum(a == b for a, b in pairs) - abs(
                len(got.events) - len(wanted.events)
            )
        rows.append(
            {
                "target": target,
                "predictions": total,
                "equal_predictions": same,
                "events": events,
                "equal_events": equal_events,
                "seconds": time.perf_counter() - started,
            }
        )
    return rows


def costs(model: Model, stream: Array) -> dict[str, dict[str, int]]:
    """Instructions of a frame, from its samples to its events, and bytes."""
    found = {}
    for core in ("cortex-m0", "cortex-m4"):
        engine = MachineEngine(model, core)
        front_end = PythonPipeline(model, "auto").front_end
        hop = round(front_end.rate / front_end.frame_rate)
        counts = []
        for start in range(0, 60 * hop, hop):
            part = np.ascontiguousarray(stream[start : start + hop])
            counts.append(engine.instructions(part))
        sections = engine.machine.image.sections
        found[core] = {
            "instructions": max(counts),
            "flash": sections[".text"] + sections[".rodata"],
            "ram": len(engine.state),
        }
    return found


def long_stream(model: Model, words: dict[str, list[Array]], hours: float) -> dict[str, float]:
    """How many times faster than real time, and memory at the start and at the end."""
    pipeline = model.pipeline("native")
    block = strung(words, LONG_BLOCK, 99)[0][: int(LONG_BLOCK * DIGITS.rate)]
    pipeline.push(block)
    before, events = resident(), 0
    started, used = time.perf_counter(), time.process_time()
    for _ in range(round(hours * 3600 / LONG_BLOCK)):
        events += len(pipeline.push(block))
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    return {
        "hours": hours,
        "seconds": seconds,
        "processor_seconds": processor,
        "times_real_time": hours * 3600 / processor,
        "events": events,
        "megabytes_at_start": before,
        "megabytes_at_end": resident(),
    }


def resident() -> float:
    """Megabytes of memory in use, now; where the system does not tell, the most so far."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(lines["VmRSS"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Predictions and events of each target."""
    made = Table("C on", "predictions", "equal", "events", "equal", title=title)
    made.title_justify = "left"
    for row in rows:
        keys = ("predictions", "equal_predictions", "events", "equal_events")
        made.add_row(row["target"], *(f"{row[key]:,}" for key in keys))
    return made


def main() -> None:
    """Run everything and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("EDGERNN_DATA", "../shared/data")
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--recordings", type=int, default=4, help="of wrist motion")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console, result = Console(), {}
    model, words = keyword_model(given.data / "spoken-digits", given.epochs)
    samples = strung(words, given.minutes * 60, 7)[0]
    result["digits"] = compare(model, [(samples, None)])
    result["digits_costs"] = costs(model, samples)
    console.print(table(f"Spoken digits, {given.minutes:g} minutes", result["digits"]))
    console.print(result["digits_costs"])
    result["long"] = long_stream(model, words, given.hours)
    console.print(result["long"])
    motion, recordings = motion_model(given.data / "activity", given.epochs)
    chosen = recordings[:: max(1, len(recordings) // given.recordings)][: given.recordings]
    front_end = PythonPipeline(motion, "auto").front_end
    streams = [(front_end.from_real(r.samples), r.times) for r in chosen]
    result["motion"] = compare(motion, streams)
    result["motion_costs"] = costs(motion, streams[0][0])
    console.print(table(f"Wrist motion, {len(chosen)} whole recordings", result["motion"]))
    console.print(result["motion_costs"])
    if given.json:
        given.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
