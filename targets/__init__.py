"""From a `.tflite` step model to C99 for a microcontroller, firmware, or a shared library.

The Python API:

- `compile(model, target="portable", out_dir=None, name=None) -> Compiled`: generate C for a core
  (`targets.cores.cores()` lists them); `Compiled` holds the files, the ports of the step
  function, its steps with the operators and layers they came from, and the memory plan.
- `load_native(model) -> NativeStep`: compile for this machine and run: `step`, `states`, `reset`,
  `save`, `restore` on raw integers.
- `Emulator(compiled)`: build for an emulated Cortex-M core and run there with the same verbs,
  count instructions by step, measure the stack and guard the memory.
"""

from targets.compile import Compiled, Port, StepInfo, compile_model
from targets.compile import compile_model as compile  # noqa: A004
from targets.cores import Core, core, cores
from targets.emulate import Emulator
from targets.native import NativeStep, load_native
from targets.tracing import Profile

__all__ = [
    "Compiled",
    "Core",
    "Emulator",
    "NativeStep",
    "Port",
    "Profile",
    "StepInfo",
    "compile",
    "compile_model",
    "core",
    "cores",
    "load_native",
]
