"""Stated sizes beside the linker's map, and the stated stack beside what was used: every board."""

import dataclasses
import re
import shutil

import numpy as np
import pytest

from edgernn import load
from edgernn.errors import InputError
from targets import qemu
from targets.boards import board, check_fits, emulated
from targets.device import build_device
from targets.emulated import emulated_device
from targets.firmware import STACK_BYTES
from targets.stack import worst_stack
from tests.edgernn.test_audio import speech_like
from tests.targets.build import step_model
from tests.targets.speech import speech_model

GCC = "arm-none-eabi-gcc"
ABOVE = 64
"""Bytes of stack that lie above main's, and that the timer's interrupt takes in passing."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which(GCC) and shutil.which(qemu.COMMAND)),
        reason="apt-get install gcc-arm-none-eabi qemu-system-arm",
    ),
]


def map_of(path):
    """Bytes of each output section, as GNU ld says."""
    lines = re.findall(r"^(\.\w+)\s+0x[0-9a-f]+\s+(0x[0-9a-f]+)", path.read_text(), re.MULTILINE)
    return {name: int(size, 16) for name, size in lines}


@pytest.mark.parametrize("kind", ["frames", "samples"])
@pytest.mark.parametrize("name", [place.name for place in emulated()])
def test_stated_sizes_and_stack_are_those_of_the_linker_and_the_board(tmp_path, name, kind):
    data = speech_model() if kind == "samples" else step_model("lstm", "int16x8", 12, 16, 5)
    cc = f"{GCC} -Wl,-Map={tmp_path}/map"
    program = build_device(load(data), name, emulated=True, cc=cc)
    firmware, sections = program.firmware, map_of(tmp_path / "map")
    flash = sections[".vectors"] + sections[".text"] + sections.get(".data", 0)
    assert firmware.flash_bytes == flash
    variables = sections.get(".data", 0) + sections[".bss"]
    assert firmware.ram_bytes == variables + firmware.stack_bytes
    with emulated_device(program) as device:
        if kind == "samples":
            scores, events = device.samples(speech_like(8000, 0.45))
            assert scores
            assert events
        else:
            frames = np.random.default_rng(1).integers(-32768, 32768, (20, 12))
            assert len(device.frames(frames.astype(np.int16))) == 20
        load_ = device.load()
    assert load_.stack_size == firmware.stack_bytes >= STACK_BYTES
    worst = worst_stack(firmware.image, "main")
    assert worst - 16 <= load_.stack <= worst + ABOVE < firmware.stack_bytes
    place = board(name)
    check_fits(place, firmware.flash_bytes, firmware.ram_bytes)
    small = dataclasses.replace(place, flash_bytes=flash - 7, ram_bytes=firmware.ram_bytes - 9)
    lacks = rf"{name} is too small .* lacks 7 bytes of flash .* and 9 bytes of RAM"
    with pytest.raises(InputError, match=lacks):
        check_fits(small, firmware.flash_bytes, firmware.ram_bytes)
