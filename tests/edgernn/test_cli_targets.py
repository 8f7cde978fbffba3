"""The commands that compile, verify, profile and list targets, as a user calls them."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.edgernn.test_cli import run
from tests.targets.build import Builder, step_model

needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None,
    reason="qemu-system-arm is missing; install with: apt-get install qemu-system-arm",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    small = {"features": 12, "units": 16, "classes": 5}
    Path("m.tflite").write_bytes(step_model("gru", "int16x8", **small))
    Path("cut.tflite").write_bytes(step_model("gru", "int16x8", **small)[:500])
    np.save("x.npy", np.random.default_rng(0).normal(size=(20, 12)))
    return tmp_path


def float_model() -> bytes:
    builder = Builder()
    x, y = (builder.tensor(name, (1, 4), "float32") for name in "xy")
    builder.op("TANH", [x], [y])
    return builder.finish([x], [y])


def test_compile_writes_files_and_prints_memory(folder, capsys):
    assert run("compile", "m.tflite", "--target", "cortex-m4", "-o", "out", "--name", "gru") == 0
    printed = capsys.readouterr().out
    for name in ("gru.h", "gru.c", "gru_weights.c"):
        assert (folder / "out" / name).is_file()
        assert name in printed
    for words in ("code", "weights", "gru_state_t", "gru_scratch_t", "stack of a step"):
        assert words in printed


def test_compile_names_files_after_the_model(folder):
    assert run("compile", "m.tflite", "-t", "portable", "-o", "out") == 0
    assert (folder / "out" / "m.h").is_file()


def test_compile_for_this_machine_gives_a_library(folder, capsys):
    assert run("compile", "m.tflite", "-t", "host", "-o", "out") == 0
    assert (folder / "out" / "libm.so").is_file()
    assert "not counted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compile", "cut.tflite", "-t", "cortex-m4", "-o", "o"], "cut.tflite: "),
        (["compile", "none.tflite", "-t", "cortex-m4", "-o", "o"], "none.tflite: cannot be read"),
        (["compile", "m.tflite", "-t", "cortex-m9", "-o", "o"], "no target 'cortex-m9'"),
        (["compile", "m.tflite", "-t", "cortex-m4", "-o", "m.tflite"], "cannot write to m.tflite"),
        (["compile", "m.tflite", "-t", "cortex-m4", "-o", "o", "--name", "A b"], "identifier"),
        (
            ["compile", "m.tflite", "-t", "cortex-m4", "-o", "o", "--cc", "arm-none-eabi-gcc-0"],
            "install with: apt-get install gcc-arm-none-eabi",
        ),
        (["compile", "f.tflite", "-t", "cortex-m0", "-o", "o"], "has no FPU"),
        (["compile", "m.tflite", "-o", "o"], "--target"),
        (["verify", "cut.tflite"], "cut.tflite: "),
        (["verify", "m.tflite", "-t", "cortex-m9"], "no target 'cortex-m9'"),
        (["verify", "m.tflite", "-t", "portable"], "portable cannot be emulated"),
        (["verify", "m.tflite", "--input", "none.npy"], "none.npy"),
        (["verify", "m.tflite", "--steps", "0"], "--steps"),
        (["verify", "m.tflite", "--json", "none/v.json"], "none: no such folder"),
        (["verify", "f.tflite", "-t", "cortex-m0"], "has no FPU"),
        (["profile", "m.tflite"], "--target or a board with --board"),
        (["profile", "cut.tflite", "-t", "cortex-m4"], "cut.tflite: "),
        (["profile", "m.tflite", "--board", "arduino"], "no board 'arduino'"),
        (["profile", "m.tflite", "-t", "cortex-m0", "--board", "netduinoplus2"], "cortex-m4"),
        (["profile", "m.tflite", "-t", "cortex-m4", "--rate", "-1"], "above 0"),
        (["profile", "none.keras", "-t", "cortex-m4"], "none.keras: no such file"),
        (["run", "m.tflite", "--input", "x.npy", "--board", "arduino"], "no board 'arduino'"),
        (["run", "m.tflite", "--input", "x.npy", "--cc", "gcc"], "--cc is the compiler for"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(folder, capsys, arguments, says):
    Path("f.tflite").write_bytes(float_model())
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("edgernn: ")
    assert says in lines[0]
    assert not (folder / "o").exists()


def test_run_on_a_board_without_qemu_says_how_to_get_it(folder, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert run("run", "m.tflite", "--input", "x.npy", "--board", "microbit") == 2
    assert "install with: apt-get install qemu-system-arm" in capsys.readouterr().err


@needs_qemu
@pytest.mark.slow
def test_run_on_a_board_prints_what_the_reference_interpreter_prints(folder, capsys):
    pytest.importorskip("tflite_micro")
    assert run("run", "m.tflite", "--input", "x.npy", "--board", "microbit") == 0
    on_board = capsys.readouterr().out
    assert run("run", "m.tflite", "--input", "x.npy", "--backend", "tflm") == 0
    assert on_board == capsys.readouterr().out
    assert len(on_board.splitlines()) == 20


def test_verify_prints_a_table_and_writes_json(folder, capsys):
    pytest.importorskip("tflite_micro")
    arguments = ("--target", "cortex-m4", "--target", "cortex-m0", "--steps", "50")
    assert run("verify", "m.tflite", *arguments, "--json", "v.json") == 0
    printed = capsys.readouterr().out
    assert "C is bit-exact with TensorFlow Lite Micro" in printed
    assert printed.count("50, all") >= 6
    document = json.loads(Path("v.json").read_text())
    assert document["steps"] == 50
    assert document["bit_exact"] is True
    assert {e["name"] for e in document["executors"]} >= {"host", "cortex-m4", "cortex-m0"}


def test_verify_takes_a_recording(folder, capsys):
    assert run("verify", "m.tflite", "--input", "x.npy") == 0
    assert "of 20" in capsys.readouterr().out


def test_verify_fails_with_1_when_c_differs(folder, capsys, monkeypatch):
    pytest.importorskip("tflite_micro")
    from targets.emulate import Emulator

    step = Emulator.step

    def wrong(self, *inputs):
        (y,) = step(self, *inputs)
        y = y.copy()
        y[0, 2] += 1
        return (y,)

    monkeypatch.setattr(Emulator, "step", wrong)
    assert run("verify", "m.tflite", "--steps", "5") == 1
    printed = capsys.readouterr().out
    assert "NOT bit-exact" in printed
    assert "step 0: y[2] is " in printed


def test_profile_prints_and_writes_json(folder, capsys):
    assert run("profile", "m.tflite", "-t", "cortex-m4", "--rate", "100", "--json", "p.json") == 0
    printed = capsys.readouterr().out
    for words in ("code", "tables", "weights", "state", "scratch", "FULLY_CONNECTED", "gru_0"):
        assert words in printed
    for line in printed.splitlines():
        assert "cycles" not in line or "stimated" in line
    document = json.loads(Path("p.json").read_text())
    assert document["instructions_per_step"] == sum(document["instructions_by_op"].values())
    assert document["rate_hz"] == 100


def test_targets_lists_every_core_and_board(capsys):
    from targets.boards import boards
    from targets.cores import cores

    assert run("targets") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*cores(), *boards()])


def test_generated_firmware_sources_are_strict_c99(folder):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi")
    import targets

    sources = Path(targets.__file__).parent / "firmware"
    values = {"BASE": "0x40000000u", "DIVIDER": "100u", "TX": "6u", "RX": "40u", "INTERRUPT": "2u"}
    header = "".join(f"#define BOARD_UART_{name} {value}\n" for name, value in values.items())
    Path("uart_board.h").write_text(f"#include <stdint.h>\n{header}")
    flags = "-std=c99 -Wall -Wextra -Wconversion -Wshadow -pedantic -Werror -O2 -c -o out.o"
    for source in sorted(sources.glob("*.c")):
        # Programs need a model and what is made of it; every board test compiles them as strictly.
        if not source.name.endswith("main.c") and not source.name.startswith(("device", "sensor")):
            command = [compiler, *flags.split(), "-mcpu=cortex-m0", "-I.", str(source)]
            subprocess.run([*command, f"-I{sources}"], check=True)
