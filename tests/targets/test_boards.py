from pathlib import Path

import pytest

import targets
from edgernn.errors import InputError
from targets.boards import board, boards, boards_with
from targets.cores import cores

FIRMWARE = Path(targets.__file__).parent / "firmware"


@pytest.mark.parametrize("name", boards())
def test_every_board_is_complete(name):
    place = board(name)
    assert place.core in cores()
    assert (FIRMWARE / f"uart_{place.uart}.c").is_file()
    assert 1_000_000 <= place.clock_hz <= 1_000_000_000
    assert place.flash_bytes >= 1 << 17
    assert place.ram_bytes >= 1 << 14
    flash_end = place.flash_origin + place.flash_bytes
    assert flash_end <= place.ram_origin or place.ram_origin + place.ram_bytes <= flash_end
    assert place.ram_origin % 8 == place.flash_origin % 8 == 0


def test_every_emulated_core_has_a_board():
    for core in cores().values():
        if core.emulator or core.mve:
            assert boards_with(core.name)


def test_an_unknown_board_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"no board 'arduino'; known are microbit, .*netduino"):
        board("arduino")
