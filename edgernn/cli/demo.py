"""`edgernn demo`: train, convert and stream a small motion model, on data that it generates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgernn import Model

LABELS = ("still", "walk", "shake", "turn")
RATE_HZ = 25
FEATURES = 6  # acceleration in g, rotation in rad/s


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("edgernn-demo"),
    show_default=True,
    help="Folder for the model, its calibration data and a recording to play with.",
)
@click.option("--seconds", default=20, show_default=True, help="Length of the streamed recording.")
@click.option("--epochs", default=12, show_default=True, help="Passes over the training data.")
def command(output: Path, seconds: int, epochs: int) -> None:
    """Train a small GRU on generated motion data, convert it and stream it.

    The data is synthetic: sums of sines and noise that resemble a wrist-worn motion sensor at
    25 Hz. It shows the way from a Keras model to a device, not a result.
    """
    from rich.console import Console

    from converters.dependencies import require

    require()
    console = Console()
    output.mkdir(parents=True, exist_ok=True)
    console.rule("1. Train a GRU(24) on generated motion data")
    trained = _train(output, epochs, console)
    console.rule("2. Convert it: edgernn convert motion.keras --calibration calibration.npy")
    model = _convert(output)
    console.rule("3. Stream a new recording, frame by frame")
    _stream(model, trained, output, seconds, console)
    _on_a_core(output / "motion.tflite", console)
    console.rule("5. Next")
    console.print(
        f"  edgernn inspect {output}/motion.tflite\n"
        f"  edgernn run {output}/motion.tflite --input {output}/recording.csv\n"
        f"  edgernn compile {output}/motion.tflite --target cortex-m4 -o {output}/c\n"
        "Your own model, with some of the sequences it was trained on:\n"
        "  edgernn convert model.keras --calibration x_train.npy -o model.tflite\n",
        soft_wrap=True,
        highlight=False,
    )


def _on_a_core(file: Path, console: Any) -> None:
    """Compile the step to C, prove it on an emulated Cortex-M4, and show what it costs there."""
    from edgernn.cli import profile, verify

    context = click.get_current_context()
    console.rule("4. Run it as C on an emulated Cortex-M4: edgernn verify, edgernn profile")
    context.invoke(verify.command, file=file, targets=("cortex-m4",))
    context.invoke(profile.command, file=file, target="cortex-m4", rate=float(RATE_HZ))


def generate(
    rng: np.random.Generator, frames: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """A made-up recording: stretches of 1 to 4 seconds of each motion, in random order.

    Returns:
        frames `(frames, 6)` and the label of each.
    """
    import numpy as np

    x = np.zeros((frames, FEATURES), np.float32)
    y = np.zeros(frames, np.int64)
    start = 0
    while start < frames:
        length = min(int(rng.integers(RATE_HZ, 4 * RATE_HZ)), frames - start)
        label = int(rng.integers(len(LABELS)))
        x[start : start + length] = _motion(rng, label, length)
        y[start : start + length] = label
        start += length
    return x + rng.normal(0, 0.05, x.shape).astype(np.float32), y


def _motion(rng: np.random.Generator, label: int, length: int) -> Any:
    import numpy as np

    time = np.arange(length)[:, None] / RATE_HZ
    phase = rng.uniform(0, 2 * np.pi, FEATURES)
    strength = rng.uniform(0.7, 1.3)
    rate, amplitude = {
        0: (0.3, [0.02, 0.02, 0.02, 0.05, 0.05, 0.05]),
        1: (rng.uniform(1.6, 2.2), [0.2, 0.3, 0.4, 0.5, 1.0, 0.3]),
        2: (rng.uniform(4.0, 6.0), [1.0, 0.6, 0.3, 0.6, 0.6, 2.0]),
        3: (rng.uniform(0.4, 0.7), [0.1, 0.1, 0.1, 0.3, 0.3, 2.5]),
    }[label]
    signal = strength * np.array(amplitude) * np.sin(2 * np.pi * rate * time + phase)
    signal[:, 2] += 1.0  # gravity
    return signal


def _train(output: Path, epochs: int, console: Any) -> Any:
    import numpy as np
    from rich.progress import Progress

    from converters.quiet import quiet

    with console.status("Loading TensorFlow …"), quiet():
        import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = (np.stack(part) for part in zip(*(generate(rng, 200) for _ in range(160)), strict=True))
    trained = keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            keras.layers.GRU(24, return_sequences=True),
            keras.layers.Dense(len(LABELS), activation="softmax"),
        ]
    )
    trained.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    with Progress(console=console) as bar:
        task = bar.add_task("epochs", total=epochs)
        advance = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: bar.advance(task))
        trained.fit(x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=[advance])
    trained.save(output / "motion.keras")
    np.save(output / "calibration.npy", x[:40])
    return trained


def _convert(output: Path) -> Model:
    from converters import convert
    from edgernn.cli.convert import show

    model: Model = convert(
        output / "motion.keras", output / "calibration.npy", labels=LABELS, precision="auto"
    )
    model.save(output / "motion.tflite")
    assert model.report is not None
    show(model.report, output / "motion.tflite")
    return model


def _stream(model: Model, trained: Any, output: Path, seconds: int, console: Any) -> None:
    """Push a new recording one frame at a time and show each second's decision."""
    import numpy as np
    from rich.live import Live
    from rich.table import Table

    x, y = generate(np.random.default_rng(1), max(1, seconds) * RATE_HZ)
    header = ",".join(("ax", "ay", "az", "gx", "gy", "gz"))
    np.savetxt(output / "recording.csv", x, "%.5f", ",", header=header, comments="")
    table = Table("second", "motion", "decision", "score", "")
    stream, scores = model.stream(), []
    with Live(table, console=console, auto_refresh=False) as live:
        for frame, truth in zip(x, y, strict=True):
            scores.append(stream.push(frame))
            if len(scores) % RATE_HZ:
                continue
            best = int(scores[-1].argmax())
            right = best == truth
            table.add_row(
                f"{len(scores) // RATE_HZ}",
                LABELS[truth],
                f"[{'green' if right else 'red'}]{LABELS[best]}[/]",
                f"{scores[-1][best]:.2f}",
                "█" * round(20 * float(scores[-1][best])),
            )
            live.refresh()
    if not console.is_terminal:
        console.print()  # what is piped gets the table without the line break behind it
    expected = trained.predict(x[None], verbose=0)[0]
    decisions = np.array(scores).argmax(axis=1)
    console.print(
        f"{len(x)} frames: right in {np.mean(expected.argmax(axis=1) == y):.1%} of them in Keras "
        f"float, {np.mean(decisions == y):.1%} quantized and streamed; "
        f"same decision in {np.mean(decisions == expected.argmax(axis=1)):.1%}.",
        soft_wrap=True,
    )
