"""What `edgernn evaluate` evaluates: the quantized model, and the float one that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgernn.evaluation.subject import Subject
    from edgernn.labelled import Labelled
    from edgernn.model import Model


def prepared(
    subject: Subject, recordings: Sequence[Labelled], path: Path | None, backend: str | None
) -> Subject:
    """The subject with the float model of a file, if there is one, and the fastest backends.

    Raises:
        InputError: the file holds no float model, or not one of the same predictions.
    """
    from converters.quiet import quiet
    from edgernn.evaluation.runs import fastest
    from edgernn.evaluation.subject import Subject

    with quiet():
        exact = None
        if path is not None:
            exact = _float_model(path, subject, recordings)
        own = backend or (fastest(exact) if exact is not None else "auto")
        return Subject(subject.model, backend or fastest(subject.model), exact, own)


def _float_model(path: Path, subject: Subject, recordings: Sequence[Labelled]) -> Model:
    """The float step model of a file, which is converted if it is Keras'."""
    from edgernn.errors import InputError
    from edgernn.evaluation.runs import samples_of
    from edgernn.model import load

    if path.suffix.lower() == ".tflite":
        exact = load(path)
        if (exact.x.dtype, exact.y.dtype) != ("float32", "float32"):
            raise InputError(f"{path}: gives {exact.y.dtype}, it is no float model")
    else:
        from converters import convert

        document = subject.model.metadata
        how: dict[str, Any] = {}
        if document.passes is not None:
            given = {
                name: getattr(document.passes, name) for name in ("window", "hop", "lookahead")
            }
            how = {name: value for name, value in given.items() if value}
        elif "window" in document.provenance:
            how = {"window": int(document.provenance["window"])}
        features = [subject.front_end.features(*samples_of(one)) for one in recordings[::50][:8]]
        exact = convert(path, features, precision="float32", labels=document.labels, **how)
    if exact.prediction_shape != subject.model.prediction_shape:
        raise InputError(
            f"{path}: gives predictions of shape {exact.prediction_shape}, the quantized model "
            f"{subject.model.prediction_shape}"
        )
    return exact
