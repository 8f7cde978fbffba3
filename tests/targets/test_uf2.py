"""UF2 images against an independent reader, and boards that are drives."""

import dataclasses
import os
import stat

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.cli.deploy import command as deploy
from edgernn.errors import InputError
from targets import elf, firmware
from targets.boards import board
from targets.exports import export
from targets.flash import FlashError, drive, uf2
from tests.targets.build import step_model
from tests.targets.exported import motion

PICO, PICO2 = board("pico"), board("pico2")
INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"


def memory_of(data, folder, family):
    """What `uf2utils` reads: address to byte; every field of every block is checked."""
    pytest.importorskip("uf2utils", reason="uf2utils is missing: pip install uf2utils")
    from uf2utils.file import UF2File

    path = folder / "image.uf2"
    path.write_bytes(data)
    assert len(data) % 512 == 0
    memory = {}
    for number, block in enumerate(UF2File(str(path))):
        header = block.header
        assert (header.block_number, header.total_blocks) == (number, len(data) // 512)
        assert (int(header.flags), header.payload_size) == (0x2000, 256)
        assert header.address % 256 == 0
        assert int(getattr(header.family, "id", header.family)) == family
        for offset, byte in enumerate(block.payload[:256]):
            assert header.address + offset not in memory
            memory[header.address + offset] = byte
    return memory


PARTS = st.lists(st.tuples(st.integers(0, 900), st.binary(min_size=1, max_size=700)), max_size=5)


@settings(max_examples=60, deadline=None)
@given(gaps=PARTS)
def test_another_reader_finds_every_byte(gaps, tmp_path_factory):
    parts, at = [(PICO.flash_origin, b"x")], PICO.flash_origin + 1
    for gap, content in gaps:
        parts.append((at + gap, content))
        at += gap + len(content)
    memory = memory_of(uf2.encode(parts, PICO), tmp_path_factory.mktemp("uf2"), 0xE48BFF56)
    expected = {a + i: byte for a, content in parts for i, byte in enumerate(content)}
    assert {a: memory[a] for a in expected} == expected
    assert not any(byte for a, byte in memory.items() if a not in expected)


def test_families_are_those_of_the_specification(tmp_path):
    """Of uf2families.json in Microsoft's repository: RP2040, and RP2350 with Arm, secure."""
    assert (PICO.uf2_family, PICO2.uf2_family) == (0xE48BFF56, 0xE48BFF59)
    assert len(memory_of(uf2.encode([(0x10000000, b"a")], PICO2), tmp_path, 0xE48BFF59)) == 256


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "has nothing for the flash of pico"),
        ([(0x20000000, b"data")], r"4 bytes at 0x20000000, which is not in the flash of pico"),
        ([(0x10000000 + PICO.flash_bytes - 2, b"long")], "not in the flash of pico"),
    ],
)
def test_what_is_not_for_this_flash_is_refused(parts, says):
    with pytest.raises(InputError, match=says):
        uf2.encode(parts, PICO)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """An ELF file that lies where a Pico's program does; it has a variable that begins as 7."""
    place = dataclasses.replace(
        board("netduinoplus2"), flash_origin=PICO.flash_origin, ram_bytes=PICO.ram_bytes
    )
    path = tmp_path_factory.mktemp("image") / "small.elf"
    own_file = firmware.own_file

    def with_variable(name):
        text, was = own_file(name), "code = (uint8_t)error;"
        if name != "link.c":
            return text
        assert was in text
        head = '#include "uart.h"\n'
        text = text.replace(was, "code = (uint8_t)((uint32_t)error + seven - 7u);")
        return text.replace(head, head + "static volatile uint32_t seven = 7;\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(firmware, "own_file", with_variable)
        patch.setattr(firmware, "board", lambda name: place)
        path.write_bytes(firmware.build(step_model("gru", "int8", 4, 8, 3), "pico").data)
    return path


@pytest.fixture
def drive_of_pico(tmp_path):
    folder = tmp_path / "RPI-RP2"
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(INFO)
    return folder


def test_an_image_with_variables_is_copied_to_where_the_flash_has_them(
    image, drive_of_pico, tmp_path
):
    written = drive.copy(PICO, image, drive_of_pico)
    assert sorted(p.name for p in drive_of_pico.iterdir()) == ["EDGERNN.UF2", "INFO_UF2.TXT"]
    memory = memory_of(written.read_bytes(), tmp_path, PICO.uf2_family)
    loaded = elf.load(image.read_bytes())
    begin = PICO.flash_origin
    size = sum(len(content) for _, content in loaded.loaded)
    flash = b"".join(content for _, content in sorted(loaded.loaded))
    assert bytes(memory[begin + i] for i in range(size)) == flash
    assert memory[loaded.symbols["data_image"].address] == 7
    assert memory[begin + 4] | memory[begin + 5] << 8 == (
        (loaded.symbols["reset_handler"].address + 1) & 0xFFFF
    )


def test_drives_of_others_are_refused_and_left_alone(image, drive_of_pico):
    with pytest.raises(InputError, match=r"is the board 'RPI-RP2', not RP2350 \(pico2\)"):
        drive.copy(PICO2, image, drive_of_pico)
    (drive_of_pico / "INFO_UF2.TXT").unlink()
    with pytest.raises(InputError, match=r"has no INFO_UF2.TXT.* hold BOOTSEL"):
        drive.copy(PICO, image, drive_of_pico)
    with pytest.raises(InputError, match="name its folder with --drive"):
        drive.copy(PICO, image, drive_of_pico / "nowhere")
    with pytest.raises(InputError, match="microbit has no drive"):
        drive.copy(board("microbit"), image, drive_of_pico)
    assert not list(drive_of_pico.iterdir())


def test_a_drive_that_is_full_keeps_nothing_half_written(image, drive_of_pico, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FlashError, match=r"cannot be written \(No space left"):
        drive.copy(PICO, image, drive_of_pico)
    assert [p.name for p in drive_of_pico.iterdir()] == ["INFO_UF2.TXT"]


def test_a_board_that_restarts_takes_its_drive_away_and_that_is_well(
    image, drive_of_pico, monkeypatch
):
    def restarts(file):
        (drive_of_pico / "INFO_UF2.TXT").unlink()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", restarts)
    drive.copy(PICO, image, drive_of_pico)


def test_arms_boards_take_the_image_itself(image, tmp_path):
    copied = drive.copy(board("mps2-an386"), image, tmp_path)
    assert copied.read_bytes() == image.read_bytes()


def test_deploy_builds_shows_sizes_and_copies(image, drive_of_pico, tmp_path, monkeypatch):
    project, tools, file = tmp_path / "p", tmp_path / "bin", tmp_path / "motion.tflite"
    file.write_bytes(motion())
    export(motion(), "arduino", project, name="motion")
    tools.mkdir()
    builder = tools / "arduino-cli"
    builder.write_text(
        f'#!/bin/sh\nmkdir -p {project}/build\ncp {image} "{project}/build/motion_stream.ino.elf"\n'
    )
    builder.chmod(builder.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    arguments = [str(file), "--board", "pico", "--project", str(project)]
    result = CliRunner().invoke(
        deploy, [*arguments, "--drive", str(drive_of_pico)], standalone_mode=False
    )
    assert result.exception is None, result.output
    loaded = elf.load(image.read_bytes())
    flash = sum(len(content) for _, content in loaded.loaded)
    variables = loaded.symbols["bss_end"].address - loaded.symbols["data_start"].address
    bars = {line.split()[1]: line.split()[3] for line in result.output.splitlines() if "%" in line}
    assert bars == {"flash": f"{flash:,}", "RAM": f"{variables:,}"}
    assert "EDGERNN.UF2" in result.output
    small = dataclasses.replace(PICO, flash_bytes=flash - 5)
    monkeypatch.setattr("targets.boards.board", lambda name: small)
    refused = CliRunner().invoke(deploy, arguments, standalone_mode=False)
    assert "pico is too small for this model: it lacks 5 bytes of flash" in str(refused.exception)
