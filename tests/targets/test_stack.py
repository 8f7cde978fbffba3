"""The stated worst case of the stack against what steps use, with every compiler and level."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from edgernn.errors import EdgernnError
from targets.compile import compile_model
from targets.elf import Image, Symbol
from targets.emulate import Emulator
from targets.stack import worst_stack
from tests.targets.build import step_model
from tests.targets.reference import Reference
from tests.targets.test_cells import SMALL, frames, same

GCC = "arm-none-eabi-gcc"
CORES = ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]
LEVELS = ["-O0", "-Os", "-O2", "-O3"]
COMPILERS = [
    pytest.param("zig"),
    pytest.param(
        GCC, marks=pytest.mark.skipif(shutil.which(GCC) is None, reason=f"{GCC} is not installed")
    ),
]


@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("optimize", LEVELS)
def test_every_compiler_is_bit_exact_and_within_the_stated_stack(cc, core, optimize):
    for cell, precision in (("gru", "int16x8"), ("lstm", "int8")):
        data = step_model(cell, precision, **SMALL)
        reference = Reference(data)
        emulator = Emulator(compile_model(data, core), cc=cc, optimize=optimize)
        worst = emulator.worst_stack
        for x in frames(emulator.compiled.inputs[0], 8):
            same(reference, emulator, x)
        assert 0 < emulator.stack(x) <= worst <= emulator.stack(x) + 64


def image(*functions):
    """An image of functions, given as lists of halfwords, one after the other from address 0."""
    symbols, code = {}, b""
    for k, words in enumerate(functions):
        raw = np.array(words, "<u2").tobytes()
        symbols[f"f{k}"] = Symbol(f"f{k}", len(code), len(raw), True)
        code += raw
    return Image(((0, code, len(code)),), symbols, {}, ((0, len(code)),), ((0, True),))


def test_frames_are_added_along_the_deepest_path():
    # push {r4, lr}; sub sp, #8; bl f1; bl f2 | push {r0-r7} | sub.w sp, sp, #0x400; vpush {d8}
    deep = image(
        [0xB510, 0xB082, 0xF000, 0xF802, 0xF000, 0xF801], [0xB4FF], [0xF5AD, 0x6D80, 0xED2D, 0x8B02]
    )
    assert worst_stack(deep, "f1") == 32
    assert worst_stack(deep, "f2") == 1024 + 8
    assert worst_stack(deep, "f0") == 8 + 8 + 1024 + 8


def test_a_loop_of_the_processor_is_no_call():
    # push {r4, lr}; le lr, here | push {r0-r7}
    assert worst_stack(image([0xB510, 0xF00F, 0xC803], [0xB4FF]), "f0") == 8


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([0xB500, 0xF7FF, 0xFFFB], "calls itself"),  # bl f0
        ([0xB500, 0xF7FF, 0xFFFD], "calls itself"),  # bl f1
        ([0x4798], "through a pointer"),  # blx r3
        ([0xEBAD, 0x0D03], "variable"),  # sub.w sp, sp, r3
        ([0x449D], "variable"),  # add sp, r3
    ],
)
def test_what_has_no_bound_is_refused(words, why):
    with pytest.raises(EdgernnError, match=why):
        worst_stack(image([0xB500, 0xF000, 0xF800], words), "f0")
