"""How each operator becomes IR: one module per family, one function per operator.

A lowering is registered under the schema's operator name and takes the model being lowered and
the operator. It checks everything it relies on, since the file may come from anywhere.
"""

from targets.lowering import (  # noqa: F401  (each import registers its operators)
    activation,
    arithmetic,
    fully_connected,
    shape,
)
from targets.lowering.base import LOWERINGS, Model, lower

__all__ = ["LOWERINGS", "Model", "lower"]
