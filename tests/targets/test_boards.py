from pathlib import Path

import pytest

import targets
from edgernn.errors import InputError
from targets.boards import board, boards, boards_with, check_fits
from targets.cores import cores

FIRMWARE = Path(targets.__file__).parent / "firmware"


NEEDED = """arduino-nano-33-ble-sense pico pico2 stm32f4-discovery nucleo-l4r5zi microbit
microbit-v2 esp32-s3-devkit teensy41 netduinoplus2 mps2-an386 mps3-an547""".split()


@pytest.mark.parametrize("name", boards())
def test_every_board_is_complete(name):
    place = board(name)
    assert place.core in cores()
    assert place.title
    assert 1_000_000 <= place.clock_hz <= 1_000_000_000
    assert place.flash_bytes >= 1 << 17
    assert place.ram_bytes >= 1 << 14
    flash_end = place.flash_origin + place.flash_bytes
    assert flash_end <= place.ram_origin or place.ram_origin + place.ram_bytes <= flash_end
    assert place.ram_origin % 8 == place.flash_origin % 8 == 0


@pytest.mark.parametrize("name", boards())
def test_every_board_can_be_flashed_by_a_tool_that_knows_its_name(name):
    place = board(name)
    known_as = {
        "pyocd": place.pyocd,
        "picotool": place.uf2_family and place.uf2_drive,
        "esptool": place.esp_idf,
        "arduino-cli": place.arduino,
        "platformio": place.platformio,
        "drive": place.qemu,  # Arm's prototyping boards
    }
    assert known_as[place.flash]
    assert bool(place.platformio) == bool(place.platformio_platform)


@pytest.mark.parametrize("name", boards())
def test_every_board_has_our_firmware_or_an_export(name):
    place = board(name)
    if place.uart:
        assert (FIRMWARE / f"uart_{place.uart}.c").is_file()
        assert place.uart_base
        assert place.uart_divider
    else:
        assert not place.qemu
        assert place.arduino or place.platformio or place.zephyr


@pytest.mark.parametrize("name", NEEDED)
def test_the_common_boards_are_there(name):
    assert name in boards()


def test_what_is_too_large_is_refused_by_the_byte():
    place = board("microbit")
    check_fits(place, place.flash_bytes, place.ram_bytes)
    with pytest.raises(InputError, match=r"microbit .* lacks 1 bytes of flash \(262,145 needed, "):
        check_fits(place, place.flash_bytes + 1, place.ram_bytes)
    with pytest.raises(InputError, match=r"flash .* and 4,616 bytes of RAM \(21,000 needed, "):
        check_fits(place, 1 << 20, 21_000)


def test_every_emulated_core_has_a_board():
    for core in cores().values():
        if core.emulator or core.mve:
            assert boards_with(core.name)


def test_an_unknown_board_is_refused_with_the_known_ones():
    with pytest.raises(
        InputError, match=r"no board 'arduino'; known are arduino-nano.*, microbit, .*netduino"
    ):
        board("arduino")
