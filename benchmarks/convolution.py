"""What one step of a keyword network with convolutions costs on microcontrollers.

    python benchmarks/convolution.py [--json FILE] [--core CORE ...]

Two networks of Conv2D over time and 32 bands before a GRU(64) with random weights, converted by
`edgernn.convert` in int8 and int16x8, compiled and run on emulated cores: unicorn, and QEMU for
Cortex-M55 where it is installed. Instructions are counted one by one; "conv" has those of the
convolutions alone, also as instructions per multiply-accumulate.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

BANDS, UNITS, OUTPUTS = 32, 64, 12
CORES = ("cortex-m4", "cortex-m55", "cortex-m3", "cortex-m0")


def pooled() -> Any:
    """The architecture `spectral-m`, which keeps the largest of neighbouring bands."""
    from converters.training.architectures import Shape, build

    return build("spectral-m", Shape(BANDS, OUTPUTS))


def strided() -> Any:
    """Four Conv2D, causal in time, that move over the bands in strides."""
    import keras

    layers = keras.layers
    x = inputs = keras.Input((None, BANDS))
    x = layers.Reshape((-1, BANDS, 1))(x)
    for filters, kernel, strides in (
        (16, (3, 4), (1, 2)), (24, (3, 3), (1, 1)), (32, (3, 3), (2, 2)), (32, (3, 3), (1, 2)),
    ):  # fmt: skip
        x = layers.ZeroPadding2D(((kernel[0] - 1, 0), (0, 0)))(x)
        x = layers.Conv2D(filters, kernel, strides=strides, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)
    x = layers.GRU(UNITS, return_sequences=True)(x)
    return keras.Model(inputs, layers.Dense(OUTPUTS)(x))


NETWORKS = {"strided": strided, "pooled": pooled}


def converted(network: str, precision: str) -> Any:
    """The step model of a network with random weights, calibrated on noise."""
    import edgernn
    from converters.quiet import quiet

    with quiet():
        import keras
    keras.utils.set_random_seed(0)
    noise = np.random.default_rng(0).normal(size=(8, 100, BANDS)).astype(np.float32)
    return edgernn.convert(NETWORKS[network](), noise, precision=precision)


def macs(model: Any) -> int:
    """Multiply-accumulates of a step's convolutions."""
    tensors = model.graph.tensors
    return sum(
        tensors[op.inputs[1]].elements * tensors[op.outputs[0]].elements
        // tensors[op.outputs[0]].shape[3]
        for op in model.graph.operators
        if op.name == "CONV_2D"
    )  # fmt: skip


def measure(network: str, precision: str, model: Any, core: str) -> dict[str, Any]:
    """One row of the table."""
    from targets.profiling import profile

    costs = profile(model, core)
    by_op = costs.instructions_by_op
    inside = sum(count for op, count in by_op.items() if "CONV_2D" in op)
    return {
        "network": network,
        "precision": precision,
        "core": core,
        "instructions_per_step": costs.instructions_per_step,
        "instructions_by_op": by_op,
        "frames_per_step": costs.frames_per_step,
        "convolutions": inside,
        "convolution_macs": macs(model),
        "flash": {"code": costs.flash.code + costs.flash.tables, "weights": costs.flash.weights},
        "ram": {
            "state": costs.ram.state,
            "scratch": costs.ram.scratch,
            "stack": costs.ram.stack,
        },
    }


def row(result: dict[str, Any]) -> list[str]:
    """The cells of the printed table."""
    inside, flash, ram = result["convolutions"], result["flash"], result["ram"]
    return [
        f"{result['network']} {result['precision']}",
        result["core"].removeprefix("cortex-").upper(),
        f"{result['instructions_per_step']:,}",
        f"{inside:,}",
        f"{inside / result['convolution_macs']:.2f}",
        f"{flash['code']:,} + {flash['weights']:,}",
        f"{ram['state']} + {ram['scratch']} + {ram['stack']} = {sum(ram.values()):,}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--core", nargs="+", default=CORES, choices=CORES, help="only these")
    arguments = parser.parse_args()

    console = Console()
    table = Table(
        *("network", "core", "instructions", "conv", "per MAC", "code + weights"),
        "state + scratch + stack",
        title=f"One step: {BANDS} bands, 4 Conv2D, GRU({UNITS}), Dense({OUTPUTS})",
        caption="pooled: the architecture spectral-m; strided: in strides instead of maxima. "
        "A step takes two frames.",
    )
    cores = [c for c in arguments.core if c != "cortex-m55" or shutil.which("qemu-system-arm")]
    if len(cores) < len(arguments.core):
        console.print("no Cortex-M55: install with: apt-get install qemu-system-arm")
    results = []
    for network in NETWORKS:
        for precision in ("int8", "int16x8"):
            model = converted(network, precision)
            for core in cores:
                results.append(measure(network, precision, model, core))
                table.add_row(*row(results[-1]), end_section=core == cores[-1])
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
