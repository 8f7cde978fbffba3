"""What one recurrent step costs on microcontrollers, beside TensorFlow Lite Micro.

    python benchmarks/mcu.py [--json FILE] [--cc COMPILER]

Keras GRU(64) and LSTM(64) on 40 features with Dense(12), converted by `edgernn.convert` in int8
and int16x8, compiled with -O2 and run on emulated cores: unicorn, and QEMU for Cortex-M55 where it
is installed. Instructions are counted one by one, RAM is state, scratch and worst-case stack.

The peer is TFLM with CMSIS-NN built by arm-none-eabi-gcc 12. Its numbers were measured earlier on
models of the same shapes, one step with its state carried, and are not measured again here: its
code is text and data without the model and without an empty firmware, its RAM the arena used, bss,
data and the deepest stack. Its LSTM is the fused int8 operator, patched to keep its state.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

FEATURES, UNITS, OUTPUTS = 40, 64, 12
CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "cortex-m3", "cortex-m0")

GOALS = {
    ("GRU", "cortex-m4"): 36_000,
    ("LSTM", "cortex-m4"): 45_000,
    ("GRU", "cortex-m55"): 12_000,
    ("LSTM", "cortex-m55"): 14_000,
    ("GRU", "cortex-m3"): 90_000,
    ("LSTM", "cortex-m3"): 90_000,
    ("GRU", "cortex-m0"): 180_000,
    ("LSTM", "cortex-m0"): 180_000,
}
CODE_GOAL, RAM_GOAL = 4_096, 1_536
"""Bytes of code and tables without weights; of state, scratch and stack."""

PEER = {
    ("GRU", "int8", "cortex-m4"): (173_000, "54,700-67,400", 7_300),
    ("GRU", "int8", "cortex-m0"): (541_000, "61,500-74,700", 7_360),
    ("GRU", "int16x8", "cortex-m4"): (115_000, "67,400", 4_780),
    ("GRU", "int16x8", "cortex-m7"): (115_600, "66,200", 4_770),
    ("GRU", "int16x8", "cortex-m33"): (114_600, "67,700", 4_770),
    ("GRU", "int16x8", "cortex-m55"): (58_000, "59,300", 4_800),
    ("GRU", "int16x8", "cortex-m3"): (166_400, "60,800", 4_770),
    ("GRU", "int16x8", "cortex-m0"): (640_000, "61,500-74,700", 4_850),
    ("LSTM", "int8", "cortex-m4"): (92_600, "46,600-56,100", 6_590),
    ("LSTM", "int8", "cortex-m55"): (34_100, "39,400-63,100", 6_600),
    ("LSTM", "int8", "cortex-m3"): (121_900, "39,400-63,100", 6_600),
    ("LSTM", "int8", "cortex-m0"): (249_000, "39,400-63,100", 6_600),
}
"""Instructions, bytes of code, bytes of RAM."""


def converted(cell: str, precision: str) -> Any:
    """The step model of a Keras model with random weights, calibrated on noise."""
    import edgernn
    from converters.quiet import quiet

    with quiet():
        import keras
    keras.utils.set_random_seed(0)
    layer = getattr(keras.layers, cell)(UNITS, return_sequences=True)
    model = keras.Sequential(
        [keras.Input((None, FEATURES)), layer, keras.layers.Dense(OUTPUTS)], name=cell.lower()
    )
    noise = np.random.default_rng(0).normal(size=(16, 100, FEATURES)).astype(np.float32)
    return edgernn.convert(model, noise, precision=precision)


def matrices(model: Any) -> int:
    """Multiply-accumulates of a step."""
    graph = model.graph
    return sum(
        graph.tensors[op.inputs[1]].elements
        for op in graph.operators
        if op.name == "FULLY_CONNECTED"
    )


def measure(cell: str, precision: str, model: Any, core: str, cc: str | None) -> dict[str, Any]:
    """One row of the table."""
    from targets.profiling import profile

    costs = profile(model, core, cc=cc)
    products = [p for p in costs.parts if "FULLY_CONNECTED" in p.ops]
    by_shape: dict[tuple[int, int], int] = {}
    for part in products:
        found = re.search(r"W \[(\d+), (\d+)\]", part.comment)
        if found:
            by_shape[int(found[1]), int(found[2])] = part.instructions
    more = by_shape[UNITS, UNITS] - by_shape[UNITS, FEATURES]
    # Helium takes 16 columns of int8 a turn, and the rest of FEATURES in another way.
    whole = not (core == "cortex-m55" and precision == "int8" and FEATURES % 16)
    peer = PEER.get((cell, precision, core))
    return {
        "cell": cell,
        "precision": precision,
        "core": core,
        "instructions_per_step": costs.instructions_per_step,
        "goal": GOALS.get((cell, core)),
        "macs": matrices(model),
        "matrix_instructions_per_mac": sum(p.instructions for p in products) / matrices(model),
        "inner_loop_instructions_per_mac": more / (UNITS * (UNITS - FEATURES)) if whole else None,
        "flash": {
            "code": costs.flash.code,
            "tables": costs.flash.tables,
            "weights": costs.flash.weights,
        },
        "ram": {
            "state": costs.ram.state,
            "scratch": costs.ram.scratch,
            "stack": costs.ram.stack,
            "total": costs.ram.total,
        },
        "peer": peer and {"instructions_per_step": peer[0], "code": peer[1], "ram": peer[2]},
    }


def marked(value: int, goal: int | None) -> str:
    """A number, red where it misses its goal."""
    return f"[red]{value:,}[/red]" if goal is not None and value > goal else f"{value:,}"


def row(result: dict[str, Any]) -> list[str]:
    """The cells of the printed table."""
    flash, ram, peer, goal = result["flash"], result["ram"], result["peer"], result["goal"]
    code, loop = flash["code"] + flash["tables"], result["inner_loop_instructions_per_mac"]
    return [
        f"{result['cell']}({UNITS}) {result['precision']}",
        result["core"].removeprefix("cortex-").upper(),
        marked(result["instructions_per_step"], goal),
        f"{goal:,}" if goal else "",
        f"{result['matrix_instructions_per_mac']:.2f}",
        "" if loop is None else f"{loop:.2f}",
        f"{flash['code']:,} + {flash['tables']:,} = {marked(code, CODE_GOAL)}",
        f"{ram['state']} + {ram['scratch']} + {ram['stack']} = {marked(ram['total'], RAM_GOAL)}",
        *((f"{peer['instructions_per_step']:,}", peer["code"], f"{peer['ram']:,}") if peer else ()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--cc", help="a cross compiler other than zig")
    arguments = parser.parse_args()

    console = Console()
    table = Table(
        *("model", "core", "instructions", "goal", "per MAC", "loop", "code + tables"),
        *("state + scratch + stack", "peer: instr.", "peer: code", "peer: RAM"),
        title=f"One step: {FEATURES} features, {UNITS} units, Dense({OUTPUTS})",
        caption="Peer: TensorFlow Lite Micro with CMSIS-NN, measured earlier, see the file's head. "
        "per MAC: the matrix kernel with its rescaling; loop: its inner loop alone. "
        f"Goals: {CODE_GOAL:,} bytes of code and tables, {RAM_GOAL:,} of RAM.",
    )
    cores = [c for c in CORES if c != "cortex-m55" or shutil.which("qemu-system-arm")]
    if len(cores) < len(CORES):
        console.print("no Cortex-M55: install with: apt-get install qemu-system-arm")
    results = []
    for cell in ("GRU", "LSTM"):
        for precision in ("int8", "int16x8"):
            model = converted(cell, precision)
            for core in cores:
                results.append(measure(cell, precision, model, core, arguments.cc))
                table.add_row(*row(results[-1]), end_section=core == cores[-1])
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
