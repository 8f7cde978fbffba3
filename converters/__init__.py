"""From a trained Keras model to a quantized step model in one `.tflite`."""

from typing import TYPE_CHECKING, Any

from converters.registry import cell, rule

if TYPE_CHECKING:
    from converters.conversion import convert

__all__ = ["cell", "convert", "rule"]


def __getattr__(name: str) -> Any:
    # `convert` brings TensorFlow along; registering a rule must not.
    if name != "convert":
        raise AttributeError(f"module 'converters' has no attribute {name!r}")
    from converters.dependencies import require
    from converters.quiet import quiet

    require()
    with quiet():
        from converters.conversion import convert
    return convert
