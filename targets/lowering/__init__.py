"""How each operator becomes IR: one module per family, one function per operator.

A lowering is registered under the schema's operator name and takes the model being lowered and
the operator. It checks everything it relies on, since the file may come from anywhere.
"""

import targets.lowering.activation
import targets.lowering.arithmetic
import targets.lowering.batch_matmul
import targets.lowering.cast
import targets.lowering.convolution
import targets.lowering.float_convolution
import targets.lowering.floats
import targets.lowering.fully_connected
import targets.lowering.gather
import targets.lowering.rectifiers
import targets.lowering.reduce
import targets.lowering.sequence_lstm
import targets.lowering.shape
import targets.lowering.softmax  # noqa: F401  (each import registers its operators)
from targets.lowering.base import LOWERINGS, Model, lower

__all__ = ["LOWERINGS", "Model", "lower"]
