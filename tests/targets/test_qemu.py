import dataclasses
import shutil

import numpy as np
import pytest

from edgernn import load
from edgernn.errors import (
    InputError,
    MissingDependencyError,
    ModelFileError,
    StateError,
    UnsupportedError,
)
from targets import compile_model, emulate, firmware, link, qemu
from targets.board_stream import board_stream
from targets.boards import board, boards, emulated
from tests.targets.build import Builder, step_model
from tests.targets.reference import Reference
from tests.targets.test_cells import frames

SMALL = {"features": 12, "units": 16, "classes": 5}

needs_qemu = pytest.mark.skipif(
    shutil.which(qemu.COMMAND) is None,
    reason="qemu-system-arm is missing; install with: apt-get install qemu-system-arm",
)
needs_gcc = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None,
    reason="arm-none-eabi-gcc is missing; install with: apt-get install gcc-arm-none-eabi",
)


@pytest.fixture(scope="module")
def small():
    return step_model("gru", "int16x8", **SMALL)


class Wire:
    """A port that gives prepared bytes."""

    def __init__(self, data):
        self.data, self.sent = data, b""

    def write(self, data):
        self.sent += data

    def read(self, size):
        head, self.data = self.data[:size], self.data[size:]
        return head


# Messages


def test_a_request_and_its_answer():
    wire = Wire(link.message(link.STEP, b"abc"))
    assert link.ask(wire, link.STEP, b"xy") == b"abc"
    assert wire.sent[:6] == b"\xa5S\x02\0\0\0"
    assert wire.sent[6:8] == b"xy"
    assert len(wire.sent) == 10


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"hello world", "no messages of edgernn's firmware"),
        (link.message(link.STEP, b"abc")[:-1] + b"?", "damaged"),
        (link.message(link.ERROR, b"\x01"), "wrong size"),
        (link.message(link.ERROR, b"\x04"), "fault"),
        (link.message(link.ERROR, b"\x63"), "error 99"),
        (link.message(link.RESET), "answers 'S' with 'R'"),
        (b"\xa5S\xff\xff\xff\xff", "no messages"),
    ],
)
def test_a_wrong_answer_is_an_error(data, says):
    with pytest.raises(link.BoardError, match=says):
        link.ask(Wire(data), link.STEP)


# Images


def test_the_image_is_complete_and_counted(small):
    image = firmware.build(small, "netduinoplus2")
    start = image.image.segments[0]
    assert start[0] == 0x0800_0000
    stack, reset = np.frombuffer(start[1][:8], "<u4")
    assert stack == 0x2000_0000 + 0x20000
    assert reset == image.image.symbols["reset_handler"].address + 1
    held = sum(len(content) for _, content, _ in image.image.segments)
    assert image.flash_bytes == held
    compiled = compile_model(small, "cortex-m4", name="model")
    assert image.ram_bytes > compiled.state_bytes + compiled.scratch_bytes
    assert image.ram_bytes < 2560


@pytest.mark.parametrize("cc", [None, pytest.param("arm-none-eabi-gcc", marks=needs_gcc)])
@pytest.mark.parametrize("name", [b.name for b in boards().values() if b.uart])
def test_variables_are_in_ram_and_code_is_in_flash(small, name, cc):
    place, image = board(name), firmware.build(small, name, cc).image
    ram = range(place.ram_origin, place.ram_origin + place.ram_bytes + 1)
    flash = range(place.flash_origin, place.flash_origin + place.flash_bytes)
    for symbol in ("data_start", "data_end", "bss_start", "bss_end", "stack_bottom", "stack_top"):
        assert image.symbols[symbol].address in ram, symbol
    for symbol in ("vectors", "reset_handler", "model_step", "data_image"):
        assert image.symbols[symbol].address in flash, symbol
    assert image.symbols["bss_start"].address < image.symbols["bss_end"].address


def small_board(monkeypatch, **limits):
    place = dataclasses.replace(board("netduinoplus2"), **limits)
    monkeypatch.setattr(firmware, "board", lambda name: place)


def test_a_board_too_small_is_refused_by_the_byte(small, monkeypatch):
    needed = firmware.build(small, "netduinoplus2")
    small_board(monkeypatch, flash_bytes=needed.flash_bytes, ram_bytes=needed.ram_bytes)
    assert firmware.build(small, "netduinoplus2").flash_bytes == needed.flash_bytes
    small_board(monkeypatch, flash_bytes=needed.flash_bytes - 7, ram_bytes=needed.ram_bytes)
    with pytest.raises(InputError, match=r"too small .* lacks 7 bytes of flash \("):
        firmware.build(small, "netduinoplus2")
    small_board(monkeypatch, flash_bytes=1024, ram_bytes=needed.ram_bytes - 1000)
    with pytest.raises(InputError, match=r"bytes of flash .* and 1,000 bytes of RAM"):
        firmware.build(small, "netduinoplus2")


def test_a_model_too_large_for_a_real_board(small):
    large = step_model("gru", "int8", units=420)
    with pytest.raises(InputError, match=r"microbit is too small .* bytes of flash"):
        firmware.build(large, "microbit")


def test_missing_tools_are_named_with_what_installs_them(small, monkeypatch):
    with pytest.raises(MissingDependencyError, match=r"apt-get install gcc-arm-none-eabi"):
        firmware.build(small, "microbit", cc="arm-none-eabi-gcc-0")
    image = firmware.build(small, "microbit")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependencyError, match=r"apt-get install qemu-system-arm"):
        qemu.BoardStep(image)


def test_wrong_models_and_boards_are_refused(small):
    with pytest.raises(InputError, match="no board 'arduino'"):
        board_stream(load(small), "arduino")
    with pytest.raises(ModelFileError):
        firmware.build(small[:100], "microbit")
    builder = Builder()
    a, b, y = (builder.tensor(n, (1, 4), "int16", 1 / 128) for n in "aby")
    builder.op("ADD", [a, b], [y])
    with pytest.raises(UnsupportedError, match="this graph has 2 and 1"):
        firmware.build(builder.finish([a, b], [y]), "microbit")


def test_a_board_that_qemu_does_not_have(small):
    image = firmware.build(small, "netduinoplus2")
    place = dataclasses.replace(image.board, qemu="")
    with pytest.raises(InputError, match="does not emulate"):
        qemu.BoardStep(dataclasses.replace(image, board=place))


def test_a_board_without_our_firmware_leads_to_an_export(small):
    with pytest.raises(UnsupportedError, match=r"for teensy41: .*`edgernn export FILE .*--board"):
        firmware.build(small, "teensy41")


@needs_qemu
def test_the_second_port_of_the_stm32f4_says_that_it_is_ready(small):
    # No machine of QEMU is a Discovery; this one has the same chip. USART2 is its second port.
    discovery = firmware.build(small, "stm32f4-discovery")
    place = dataclasses.replace(discovery.board, qemu="netduinoplus2")
    step = qemu.BoardStep(dataclasses.replace(discovery, board=place), options=("-serial", "null"))
    step.step(np.zeros((1, SMALL["features"]), np.int16))
    step.close()


@needs_qemu
def test_qemu_that_ends_gives_its_reason(small):
    image = firmware.build(small, "netduinoplus2")
    place = dataclasses.replace(image.board, qemu="no-such-machine")
    with pytest.raises(link.BoardError, match=r"QEMU ended: .*unsupported machine"):
        qemu.BoardStep(dataclasses.replace(image, board=place))


# Whole boards


@pytest.fixture
def running(small):
    step = qemu.BoardStep(firmware.build(small, "netduinoplus2"))
    yield step
    step.close()


def same(reference, step, x):
    outputs = zip(reference.step(x), step.step(x), strict=True)
    states = zip(reference.values, step.states(), strict=True)
    for a, b in [*outputs, *states]:
        np.testing.assert_array_equal(a, b)


@needs_qemu
@pytest.mark.slow
@pytest.mark.parametrize("name", [b.name for b in emulated()])
def test_every_board_boots_and_is_bit_exact(name, small):
    for data in (small, step_model("lstm", "int8", **SMALL)):
        step, reference = qemu.BoardStep(firmware.build(data, name)), Reference(data)
        try:
            for x in frames(step.compiled.inputs[0], 60):
                same(reference, step, x)
            assert 0 < step.stack() < firmware.STACK_BYTES // 2
        finally:
            step.close()


@needs_qemu
@needs_gcc
@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["-O0", "-O3"])
@pytest.mark.parametrize("name", ["microbit", "netduinoplus2", "mps3-an547"])
def test_firmware_built_by_gcc_is_bit_exact(small, name, optimize):
    image = firmware.build(small, name, "arm-none-eabi-gcc", optimize=optimize)
    step, reference = qemu.BoardStep(image), Reference(small)
    for x in frames(step.compiled.inputs[0], 30):
        same(reference, step, x)
    step.close()


@needs_qemu
@needs_gcc
@pytest.mark.slow
@pytest.mark.parametrize("name", ["microbit", "mps3-an547"])
def test_the_stack_is_reserved_for_what_unoptimized_code_needs(name):
    data = step_model("lstm", "int8", **SMALL)
    image = firmware.build(data, name, "arm-none-eabi-gcc", optimize="-O0")
    symbols = image.image.symbols
    reserved = symbols["stack_top"].address - symbols["stack_bottom"].address
    step = qemu.BoardStep(image)
    try:
        for x in frames(step.compiled.inputs[0], 5):
            step.step(x)
        assert firmware.STACK_BYTES <= reserved == image.stack_bytes
        assert step.stack() < reserved - 32
    finally:
        step.close()


@needs_qemu
def test_state_goes_to_the_board_and_back(running, small):
    xs = list(frames(running.compiled.inputs[0], 6))
    for x in xs[:3]:
        running.step(x)
    saved = running.save()
    later = [running.step(x)[0] for x in xs[3:]]
    running.reset()
    assert not any(state.any() for state in running.states())
    running.restore(saved)
    for expected, x in zip(later, xs[3:], strict=True):
        np.testing.assert_array_equal(expected, running.step(x)[0])
    with pytest.raises(StateError, match="damaged"):
        running.restore(saved[:-1] + bytes([saved[-1] ^ 1]))
    with pytest.raises(StateError, match="not a saved state"):
        running.restore(saved[:-1])


@needs_qemu
def test_noise_on_the_line_does_not_stop_the_firmware(running):
    port, x = running.machine, np.zeros((1, SMALL["features"]), np.int16)
    (expected,) = running.step(x)
    running.reset()
    port.write(b"noise \x00\xff")
    port.write(link.message(link.STEP, x.tobytes())[:-1] + b"?")
    with pytest.raises(link.BoardError, match="damaged"):
        link.answer(port, link.STEP)
    with pytest.raises(link.BoardError, match="wrong size"):
        link.ask(port, link.STEP, x.tobytes()[:-1])
    port.write(link.SYNC + b"S\xff\xff\xff\x7f")
    with pytest.raises(link.BoardError, match="wrong size"):
        link.answer(port, link.STEP)
    with pytest.raises(link.BoardError, match="unknown kind"):
        link.ask(port, ord("?"))
    np.testing.assert_array_equal(running.step(x)[0], expected)


@needs_qemu
def test_a_board_that_is_switched_off_is_an_error(running):
    running.machine._process.kill()
    with pytest.raises(link.BoardError, match="QEMU ended"):
        running.reset()


@needs_qemu
def test_a_silent_board_is_an_error(small, monkeypatch):
    monkeypatch.setattr(qemu, "TIMEOUT", 0.5)
    image = firmware.build(small, "netduinoplus2")
    place = dataclasses.replace(image.board, qemu="mps2-an385")  # no flash at that address
    with pytest.raises(link.BoardError, match=r"silent|QEMU ended"):
        qemu.BoardStep(dataclasses.replace(image, board=place))


@needs_qemu
@pytest.mark.slow
def test_a_stream_on_a_board_is_the_stream_of_the_interpreter(small):
    model = load(small)
    x = np.random.default_rng(0).normal(size=(20, SMALL["features"]))
    here, there = model.stream("tflm"), board_stream(model, "mps2-an385")
    np.testing.assert_array_equal(here.push(x[0].astype(np.float32)), there.push(x[0]))
    np.testing.assert_array_equal(here.push(x[1:9]), there.push(x[1:9]))
    assert here.save() == there.save()
    saved = there.save()
    expected = here.push(x[9:])
    np.testing.assert_array_equal(there.push(x[9:]), expected)
    there.restore(saved)
    np.testing.assert_array_equal(there.push(x[9:]), expected)
    there.reset()
    here.reset()
    raw = np.full((3, SMALL["features"]), -32768, np.int16)
    np.testing.assert_array_equal(here.push_raw(raw), there.push_raw(raw))
    with pytest.raises(InputError, match="nan"):
        there.push(np.full(SMALL["features"], np.nan))
    there.close()


@needs_qemu
@pytest.mark.slow
def test_a_trace_in_qemu_counts_what_unicorn_counts(small):
    compiled = compile_model(small, "cortex-m4", name="model", marks=True)
    emulator = emulate.Emulator(compiled)
    xs = list(frames(compiled.inputs[0], 3))
    image = firmware.build(small, "netduinoplus2", marks=True)
    functions = [n for n, s in emulator.image.symbols.items() if s.is_function]
    keep = [n for n in functions if not n.endswith(("_save", "_restore", "_reset"))]
    traces = qemu.trace(image, keep, xs)
    assert len(traces) == 3
    for trace, x in zip(traces, xs, strict=True):
        # QEMU also logs conditional instructions that are skipped.
        assert len(trace) == pytest.approx(len(emulator.trace(x)), rel=0.01)
