"""What a training will do and cost, known before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from edgernn.frontends import FrontEnd
from edgernn.labelled.splits import Split

if TYPE_CHECKING:
    from edgernn.tflite import Graph
    from targets.profiling import StepProfile


@dataclass(frozen=True)
class Plan:
    """What a recipe makes of its settings and recordings.

    `labels` name the outputs of a classifier and are empty where outputs are values; `parts` are
    the recordings of each side of the split; `head` is the activation of the last layer.
    """

    front_end: FrontEnd
    parts: Split
    outputs: int
    labels: tuple[str, ...] = ()
    head: str = "softmax"


@dataclass(frozen=True)
class Costs:
    """Of a network: parameters in Keras, multiply-accumulates of a step, and its profile."""

    parameters: int
    macs: int
    profile: StepProfile


def costs(architecture: str, plan: Plan, target: str, precision: str = "auto") -> Costs:
    """Build the network untrained, convert it and measure it on an emulated core.

    Raises:
        InputError: there is no such architecture or target.
        EdgernnError: it cannot be converted or compiled, or a tool is missing.
    """
    from converters.training.architectures import Shape, build
    from targets.keras_side import convert_untrained
    from targets.profiling import profile

    features = plan.front_end.frame_shape[0]
    network = build(architecture, Shape(features, plan.outputs, plan.head))
    model = convert_untrained(network, "int8" if precision == "auto" else precision)
    measured = profile(model, target, rate=plan.front_end.frame_rate)
    return Costs(network.count_params(), macs(model.graph), measured)


def macs(graph: Graph) -> int:
    """Multiply-accumulates of one step: those of matrices and convolutions."""
    total = 0
    for operator in graph.operators:
        shapes = [graph.tensors[i].shape if i >= 0 else () for i in operator.inputs]
        out = graph.tensors[operator.outputs[0]].shape
        if operator.name == "FULLY_CONNECTED":
            total += prod(out) * shapes[1][-1]
        elif operator.name == "CONV_2D":
            total += prod(out) * prod(shapes[1][1:])
        elif operator.name == "DEPTHWISE_CONV_2D":
            total += prod(out) * prod(shapes[1][1:3])
        elif operator.name == "BATCH_MATMUL":
            total += prod(out) * shapes[0][-1]
    return total
