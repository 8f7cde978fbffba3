"""From a `.tflite` step model to C99 for a microcontroller, firmware, or a shared library.

The Python API:

- `compile(model, target="portable", out_dir=None, name=None) -> Compiled`: generate C for a core
  (`targets.cores.cores()` lists them); `Compiled` holds the files, the ports of the step
  function, its steps with the operators and layers they came from, and the memory plan.
- `build_library(compiled, folder) -> Path`: the shared library of a Linux target, which
  `model.stream(backend="native")` loads.
- `load_native(model) -> NativeStep`: compile for this machine and run: `step`, `states`, `reset`,
  `save`, `restore` on raw integers.
- `verify(model, targets)`: the same frames through every interpreter and core, compared.
- `profile(model, target)`: flash, RAM, instructions and estimated time of a step.
- `board_stream(model, board)`: the model in a board's firmware, with the API of a stream.
- `Emulator(compiled)`: build for an emulated Cortex-M core and run there with the same verbs,
  count instructions by step, measure the stack and guard the memory.
"""

from targets.board_stream import BoardStream, board_stream
from targets.compile import compile_model
from targets.compile import compile_model as compile  # noqa: A004
from targets.compiled import Compiled, Port, StepInfo
from targets.cores import Core, core, cores
from targets.emulate import Emulator
from targets.native import NativeStep, build_library, load_native
from targets.profiling import profile
from targets.tracing import Profile
from targets.verification import verify

__all__ = [
    "BoardStream",
    "Compiled",
    "Core",
    "Emulator",
    "NativeStep",
    "Port",
    "Profile",
    "StepInfo",
    "board_stream",
    "build_library",
    "compile",
    "compile_model",
    "core",
    "cores",
    "load_native",
    "profile",
    "verify",
]
