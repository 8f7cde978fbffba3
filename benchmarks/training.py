"""Spoken digits, each speaker in turn never heard: `edgernn train` and `evaluate` alone.

Trains on three speakers and judges the quantized, streamed pipeline on the fourth, all ways round;
float beside it; then listens for one keyword in hours of other digits, noise and silence. Beside
the three speakers synthetic voices say the digits; `--voices ""` trains on the three alone.

    python benchmarks/training.py --data ../shared/data [--hours 6] [--keyword 7] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PATTERN = "{label}_{group}_{take}"
LIMIT = 60_000
"""Parameters that a network may have."""


def edgernn(*arguments: str) -> None:
    """Run a command as its user would."""
    subprocess.run([sys.executable, "-m", "edgernn", *arguments], check=True)


def fold(data: Path, speaker: str, output: Path, flags: list[str]) -> dict[str, Any]:
    """Train without a speaker, and judge by that one."""
    started, used = time.perf_counter(), os.times()
    given = ("--data", str(data), "--pattern", PATTERN, "--test", speaker)
    edgernn("train", "keyword", *given, "--output", str(output), "--no-report", *flags)
    now = os.times()
    seconds = time.perf_counter() - started
    processor = now.children_user + now.children_system - used.children_user - used.children_system
    judged = output / "clips.json"
    model, exact = str(output / "keyword.tflite"), str(output / "keyword.keras")
    edgernn("evaluate", model, *given, "--float", exact, "--task", "clips", "--json", str(judged))
    clips = json.loads(judged.read_text())["clips"]
    training = json.loads((output / "training.json").read_text())
    return {
        "speaker": speaker,
        "quantized": clips["quantized"]["reset1"]["accuracy"],
        "quantized_carried": clips["quantized"]["reset0"]["accuracy"],
        "float": clips["float"]["reset1"]["accuracy"],
        "parameters": training["parameters"],
        "precision": training["precision"],
        "seconds": seconds,
        "processor_seconds": processor,
    }


def listen(
    data: Path, speaker: str, others: list[str], output: Path, keyword: str, hours: float
) -> dict[str, Any]:
    """One keyword in hours of all else: thresholds of the speakers trained on, told of another."""
    heard = output / "events.json"
    edgernn(
        "evaluate", str(output / "keyword.tflite"), "--data", str(data), "--pattern", PATTERN,
        "--task", "events", "--keyword", keyword, "--hours", str(hours), "--test", speaker,
        "--choose-on", ",".join(others), "--json", str(heard), "--report", str(output / "report"),
    )  # fmt: skip
    found = json.loads(heard.read_text())["events"]["keywords"][keyword]
    return {"speaker": speaker, **found["operating_point"], "delay": found["delay"]}


def main() -> None:
    """Run everything and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("EDGERNN_DATA", "../shared/data")
    )
    parser.add_argument("--voices", default="en", help="language of synthetic voices; '': none")
    parser.add_argument("--speakers", help="only these: a,b,c")
    parser.add_argument("--keyword", default="7")
    parser.add_argument("--hours", type=float, default=6.0, help="0: only clips")
    parser.add_argument("--output", type=Path, default=Path("build/training"))
    parser.add_argument("--json", type=Path)
    given, flags = parser.parse_known_args()
    console, folder = Console(), given.data / "spoken-digits"
    speakers = sorted({path.stem.split("_")[1] for path in folder.glob("*.wav")})
    chosen = given.speakers.split(",") if given.speakers else speakers
    rows, streams = [], []
    for speaker in chosen:
        output = given.output / speaker
        rows.append(fold(folder, speaker, output, ["--voices", given.voices, *flags]))
        if given.hours:
            others = [one for one in speakers if one != speaker]
            streams.append(listen(folder, speaker, others, output, given.keyword, given.hours))
    said = f"with voices ({given.voices})" if given.voices else "of three speakers alone"
    console.print(clips_table(rows, f"Spoken digits, streamed; trained {said}"))
    if streams:
        console.print(events_table(streams, given.keyword, given.hours))
    if given.json:
        given.json.write_text(json.dumps({"clips": rows, "events": streams}, indent=2))


def clips_table(rows: list[dict[str, Any]], title: str) -> Table:
    """Accuracy of each speaker who was not heard, and the mean."""
    made = Table("unheard", "quantized", "carried", "float", "parameters", "precision", "minutes",
                 title=title)  # fmt: skip
    keys = ("quantized", "quantized_carried", "float")
    for row in rows:
        shares = (f"{row[key]:.1%}" for key in keys)
        minutes = f"{row['seconds'] / 60:.1f} ({row['processor_seconds'] / 60:.1f} of a processor)"
        made.add_row(row["speaker"], *shares, f"{row['parameters']:,}", row["precision"], minutes)
    means = (sum(row[key] for row in rows) / len(rows) for key in keys)
    fits = "all fit" if all(row["parameters"] <= LIMIT for row in rows) else "too many"
    made.add_row("mean", *(f"{mean:.1%}" for mean in means), fits, "", "")
    return made


def events_table(rows: list[dict[str, Any]], keyword: str, hours: float) -> Table:
    """What an unheard speaker's keyword costs and gets."""
    title = f"'{keyword}' in {hours:g} hours of other digits, noise and silence"
    columns = ("unheard", "threshold", "false rejects", "false accepts/hour", "delay, median")
    made = Table(*columns, title=title)
    for row in rows:
        made.add_row(
            row["speaker"],
            f"{row['threshold']:.2f}",
            f"{row['false_reject_rate']:.1%}",
            f"{row['false_accepts_per_hour']:.2f}",
            f"{row['delay']['median']:.2f} s",
        )
    return made


if __name__ == "__main__":
    main()
