"""Exports as files and as a program on this machine; test_export_builds.py takes the tools."""

import dataclasses
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from edgernn import load
from edgernn.errors import InputError, UnsupportedError
from edgernn.metadata import Input, Metadata
from edgernn.pipeline import Pipeline
from targets import compile_model, exports
from targets.boards import board
from targets.exports import FORMATS, export, tflm
from tests.edgernn.test_cli import run as cli
from tests.targets.build import Builder, step_model
from tests.targets.exported import LABELS, described, host_program, motion, plain, with_metadata

HOOKS = {
    "cmake": "sensor.c",
    "arduino": "examples/motion_stream/sensor.cpp",
    "platformio": "src/sensor.cpp",
    "esp-idf": "main/sensor.c",
    "zephyr": "samples/stream/src/sensor.c",
    "cmsis-pack": "template/sensor.c",
    "tflm": "sensor.cc",
}
ARM = "arm-none-eabi-gcc"
needs_arm = pytest.mark.skipif(
    shutil.which(ARM) is None,
    reason="arm-none-eabi-gcc is missing; install with: apt-get install gcc-arm-none-eabi",
)
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("exports")
    for kind in FORMATS:
        export(motion(), kind, base / kind, name="motion")
    return base


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_has_the_chain_the_self_test_and_one_function_to_fill(folders, kind):
    folder = folders / kind
    library = folder / FORMATS[kind].sources.replace("NAME", "motion")
    compiled = compile_model(motion(), "portable", name="motion")
    if kind != "tflm":
        for name, text in compiled.files.items():
            assert (library / name).read_text() == text
    for name in ("motion_pipeline.c", "edgernn_trigger.c", "edgernn_resampler.c"):
        assert (library / name).read_text() == compiled.files[name]
    assert "golden_outputs" in (library / "motion_selftest.c").read_text()
    files = [path for path in folder.rglob("*") if path.is_file()]
    head = "int32_t motion_read(motion_sample_t *samples, int32_t capacity) {"
    hooks = [path for path in files if head in path.read_text()]
    assert [p.relative_to(folder).as_posix() for p in hooks] == [HOOKS[kind]]
    assert not [path for path in files if "{{" in path.read_text() or "NAME" in path.name]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_has_a_readme_of_one_page(folders, kind):
    text = (folders / kind / "README.md").read_text()
    assert len(text.splitlines()) < 75
    assert HOOKS[kind].split("/")[-1] in text
    assert "self-test passed, 12 steps" in text
    assert "100 a second, int32, 3 values each (x, y, z)" in text
    assert "not at hand" in text or "were booted" in text


# What the files say to the tools


def test_the_arduino_library_follows_the_specification(folders):
    lines = (folders / "arduino/library.properties").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    needed = "name version author maintainer sentence paragraph category url architectures".split()
    assert all(fields[name] for name in needed)
    assert fields["category"] == "Data Processing"
    assert (folders / "arduino/src" / fields["includes"]).is_file()
    sketch = folders / "arduino/examples/motion_stream/motion_stream.ino"
    assert all(words in sketch.read_text() for words in ("void setup()", "void loop()"))
    keywords = (folders / "arduino/keywords.txt").read_text().splitlines()
    assert all(len(line.split("\t")) == 2 for line in keywords)


def test_platformio_reads_its_manifests(folders):
    pytest.importorskip("platformio", reason="platformio is missing: pip install platformio")
    from platformio.package.manifest.parser import ManifestParserFactory
    from platformio.package.manifest.schema import ManifestSchema
    from platformio.project.config import ProjectConfig

    for name in ("platformio/lib/motion/library.json", "arduino/library.properties"):
        manifest = ManifestParserFactory.new_from_file(str(folders / name)).as_dict()
        assert ManifestSchema().load_manifest(manifest)["name"] == "motion"
    config = ProjectConfig(str(folders / "platformio/platformio.ini"))
    config.validate()
    assert {"nano33ble", "teensy41", "pico", "bbcmicrobit_v2"} <= set(config.envs())


def test_the_idf_component_manager_reads_its_manifest(folders):
    pytest.importorskip("idf_component_tools", reason="pip install idf-component-manager")
    from idf_component_tools.manager import ManifestManager

    manager = ManifestManager(str(folders / "esp-idf/components/motion"), "motion")
    manager.validate()
    assert manager.manifest.name == "motion"
    assert [str(d) for d in manager.manifest.dependencies] == ["idf"]


def test_the_pack_lists_every_file(folders):
    folder = folders / "cmsis-pack"
    root = ET.parse(folder / "edgernn.motion.pdsc").getroot()
    listed = {f.get("name") for f in root.iter("file") if f.get("category") in ("source", "header")}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*.[ch]")}
    assert listed == there
    assert {"README.md", "src/"} < {f.get("name") for f in root.iter("file")}
    (condition,) = root.iter("condition")
    assert {rule.get("Dcore") for rule in condition.iter("accept")} >= {"Cortex-M0+", "Cortex-M55"}
    assert root.find("license").text == "LICENSE"
    assert (folder / "LICENSE").is_file()


def test_the_zephyr_module_names_itself(folders):
    folder = folders / "zephyr"
    assert "name: motion\n" in (folder / "zephyr/module.yml").read_text()
    assert "config MOTION\n" in (folder / "Kconfig").read_text()
    assert "CONFIG_MOTION=y\n" in (folder / "samples/stream/prj.conf").read_text()
    assert "if(CONFIG_MOTION)" in (folder / "CMakeLists.txt").read_text()


def test_tflm_gets_the_file_and_its_operators_and_no_kernels(folders):
    model = folders / "tflm/model"
    text = (model / "motion_model.cc").read_text()
    words = re.findall(r"0x(\w\w)", text)
    assert bytes(int(word, 16) for word in words) == motion()
    assert "alignas(16) const unsigned char motion_model" in text
    header = (model / "motion_tflm.h").read_text()
    used = {tflm._added(op.name) for op in load(motion()).graph.operators}
    assert set(re.findall(r"\.Add(\w+)\(", header)) == used
    assert f"MicroMutableOpResolver<{len(used)}>" in header
    assert not list(model.glob("edgernn_fully_connected*"))
    assert not (model / "motion_weights.c").exists()


@needs_arm
def test_with_a_board_come_its_kernels_and_what_they_take_of_it(tmp_path):
    made = export(
        plain(), "cmake", tmp_path / "p", name="plain", board_name="netduinoplus2", cc=ARM
    )
    assert (tmp_path / "p/model/edgernn_fully_connected_s16_dsp.c").is_file()
    assert [p.name for p in (tmp_path / "p/boards").iterdir() if p.is_dir()] == ["netduinoplus2"]
    assert made.sizes is not None
    assert (
        made.sizes.flash > made.project.compiled.weights_bytes + made.project.replay.inputs.nbytes
    )
    assert made.sizes.flash < 20_000
    assert made.project.compiled.state_bytes + 100 < made.sizes.ram < 3000


def test_a_core_without_a_compiler_here_is_estimated(tmp_path):
    made = export(plain(), "esp-idf", tmp_path / "e", name="plain", board_name="esp32-s3-devkit")
    assert made.sizes is not None
    assert made.sizes.is_estimate
    assert "esp32s3" in (tmp_path / "e/README.md").read_text()


# The program, on this machine

_READ = """\
#include <stdio.h>
#include "NAME_app.h"
int32_t NAME_read(NAME_sample_t *samples, int32_t capacity) {
  const size_t size = NAME_CHANNELS_ * sizeof *samples;
  const size_t count = fread(samples, size, (size_t)capacity, stdin);
  return count == 0 ? -1 : (int32_t)count;
}
"""


def stream(folder: Path, name: str, samples: np.ndarray) -> list[str]:
    """What the CMake project prints for samples, without CMake."""
    hook = _READ.replace("NAME_CHANNELS_", f"{name.upper()}_CHANNELS").replace("NAME", name)
    (folder / "sensor.c").write_text(hook)
    sources = [*folder.glob("model/*.c"), folder / "main.c", folder / "sensor.c"]
    includes = [folder / "model", folder / "boards"]
    program = host_program(folder, [*sources, folder / "boards/console_host.c"], includes)
    done = subprocess.run([program], input=samples.tobytes(), capture_output=True, check=True)
    return done.stdout.decode().splitlines()


@needs_gcc
def test_the_program_prints_the_events_of_python(tmp_path):
    export(motion(), "cmake", tmp_path / "m", name="motion")
    samples = (np.random.default_rng(1).normal(0, 9000, (700, 3))).astype(np.int32)
    events = Pipeline(load(motion()), "tflm").push(samples)
    assert len(events) > 4
    first, *printed, last = stream(tmp_path / "m", "motion", samples)
    assert (first, last) == ("edgernn motion: self-test passed, 12 steps", "end of the samples")
    expected = [
        f"{int(round(e.start * 1e6) / 1000) / 1000:.3f} s {e.label} {e.phase} "
        f"{int(e.score * 1000 + 1e-9) / 1000:.3f}"
        for e in events
    ]
    assert printed == expected
    assert {e.label for e in events} & {LABELS[1], LABELS[2]}


@needs_gcc
def test_the_program_takes_frames_as_python_does(tmp_path):
    export(plain(), "cmake", tmp_path / "p", name="plain")
    frames = np.random.default_rng(2).normal(0, 2, (300, 5)).astype(np.float32)
    frames[7] = 1e9  # saturates
    frames[8] = -1e9
    model = load(plain())
    expected, last = [], -1
    for scores in np.asarray(model.stream("tflm").push(frames)):
        best = int(np.argmax(scores))
        if best != last:
            expected.append(f"{LABELS[best]} {int(float(scores[best]) * 1000 + 1e-6) / 1000:.3f}")
            last = best
    assert len(expected) > 10
    printed = stream(tmp_path / "p", "plain", frames)[1:-1]
    assert [line.rsplit(" ", 1)[0] for line in printed] == [e.rsplit(" ", 1)[0] for e in expected]
    got, wanted = (
        [float(line.rsplit(" ", 1)[1]) for line in lines] for lines in (printed, expected)
    )
    np.testing.assert_allclose(got, wanted, atol=0.0011)


@needs_gcc
def test_the_self_test_finds_a_wrong_weight(tmp_path):
    export(plain(), "cmake", tmp_path / "p", name="plain")
    path = tmp_path / "p/model/plain_weights.c"
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if "int32_t" in line and "bias" in line) + 1
    first, rest = lines[at].split(",", 1)
    lines[at] = f"    {int(first) + 3000},{rest}"
    path.write_text("\n".join(lines))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        stream(tmp_path / "p", "plain", np.zeros((1, 5), np.float32))
    assert b"edgernn plain: self-test FAILED at step " in failed.value.stdout
    assert b"end of the samples" not in failed.value.stdout


def test_a_model_without_a_golden_sequence_gets_one(tmp_path):
    data = step_model("gru", "int8", features=4, units=8, classes=1)
    made = export(data, "cmake", tmp_path / "p")
    assert made.project.replay.steps == 16
    reference = np.asarray(load(data).stream("tflm").push_raw(made.project.replay.inputs))
    np.testing.assert_array_equal(made.project.replay.outputs, reference.reshape(16, 1))


# The folder


def test_exporting_again_keeps_what_the_user_changed(tmp_path):
    folder = tmp_path / "p"
    export(plain(), "cmake", folder, name="plain")
    (folder / "sensor.c").write_text("/* mine */")
    (folder / "notes").mkdir()
    (folder / "notes/a.txt").write_text("a")
    (folder / "model/edgernn_old.c").write_text("added")
    other = described(step_model("gru", "int8", features=5, units=8, classes=3))
    made = export(other, "cmake", folder, name="plain")
    assert made.kept == ("model/edgernn_old.c", "notes/a.txt", "sensor.c")
    assert (folder / "sensor.c").read_text() == "/* mine */"
    assert (folder / "notes/a.txt").read_text() == "a"
    fresh = compile_model(other, "portable", name="plain")
    assert (folder / "model/plain.c").read_text() == fresh.files["plain.c"]
    assert not (folder / "model/edgernn_fully_connected_s16.c").exists()
    again = export(other, "cmake", folder, name="plain")
    assert again.kept == made.kept
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_other_folders_are_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    (tmp_path / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(InputError, match=rf"{name} is there and is no export of edgernn"):
            export(plain(), "cmake", tmp_path / name)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "mine"]
    (tmp_path / "empty").mkdir()
    export(plain(), "cmake", tmp_path / "empty")
    assert json.loads((tmp_path / "empty/.edgernn-export.json").read_text())["format"] == "cmake"


def test_nothing_is_written_if_the_disk_is_full(tmp_path, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="No space left"):
        export(plain(), "arduino", tmp_path / "p")
    assert not list(tmp_path.iterdir())


# Refusals


@needs_arm
def test_a_board_too_small_is_refused_by_the_byte(tmp_path, monkeypatch):
    options = {"name": "plain", "board_name": "microbit", "cc": ARM}
    sizes = export(plain(), "cmake", tmp_path / "p", **options).sizes
    place = dataclasses.replace(board("microbit"), flash_bytes=sizes.flash, ram_bytes=sizes.ram)
    monkeypatch.setattr(exports, "board", lambda name: place)
    assert export(plain(), "cmake", tmp_path / "p", **options).sizes == sizes
    place = dataclasses.replace(place, flash_bytes=sizes.flash - 7, ram_bytes=sizes.ram - 1)
    with pytest.raises(InputError, match=r"lacks 7 bytes of flash \(.* and 1 bytes of RAM \("):
        export(plain(), "cmake", tmp_path / "q", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("make", {}), "no format 'make'; known are cmake, arduino,"),
        (("cmake", {"board_name": "arduino"}), "no board 'arduino'"),
        (("cmake", {"board_name": "teensy41"}), "teensy41 has no start-up code here"),
        (("esp-idf", {"board_name": "pico"}), r"pico is not one of esp-idf; it takes arduino, "),
        (("arduino", {"board_name": "mps2-an386"}), r"not one of arduino; it takes zephyr, cmake"),
        (("cmake", {"board_name": "microbit", "target": "cortex-m4"}), "has a cortex-m0, not a"),
        (("cmake", {"target": "host"}), "host is no microcontroller: use `edgernn compile`"),
        (("cmake", {"name": "A b"}), "no lower-case C identifier"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, says):
    kind, options = arguments
    with pytest.raises(InputError, match=says):
        export(plain(), kind, tmp_path / "p", **options)
    assert not list(tmp_path.iterdir())


def test_models_that_no_program_fits_are_refused(tmp_path):
    builder = Builder()
    a, b, y = (builder.tensor(n, (1, 4), "int16", 1 / 128) for n in "aby")
    builder.op("ADD", [a, b], [y])
    data = builder.finish([a, b], [y], ({"a": a, "b": b}, {"y": y}))
    data = with_metadata(data, Metadata(inputs=(Input("a"), Input("b"))))
    with pytest.raises(UnsupportedError, match="has 2 and 1: use the C from `edgernn compile`"):
        export(data, "cmake", tmp_path / "p")
    masked = with_metadata(
        step_model("gru", "int8", features=4, units=8, classes=2),
        Metadata(mask=0.0, masked_output=(0.0,) * 2),
    )
    with pytest.raises(UnsupportedError, match="with masks has no export for TensorFlow Lite"):
        export(masked, "tflm", tmp_path / "p")
    assert not list(tmp_path.iterdir())


@needs_arm
def test_the_command_exports_and_says_what_it_did(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("motion.tflite").write_bytes(motion())
    options = ("--format", "cmake", "-o", "out", "--board", "netduinoplus2", "--cc", ARM)
    assert cli("export", "motion.tflite", *options) == 0
    printed = capsys.readouterr().out
    assert "out: CMake project of " in printed
    assert "self-test at start: 12 steps, recorded with tflite-micro" in printed
    assert f"of the {board('netduinoplus2').flash_bytes:,} bytes of netduinoplus2" in printed
    Path("out/sensor.c").write_text("/* mine */")
    assert cli("export", "motion.tflite", *options) == 0
    assert "kept as you left them: sensor.c" in capsys.readouterr().out
    for wrong, says in (
        (("motion.tflite", "-f", "cmake", "-o", "."), "is no export of edgernn"),
        (("none.tflite", "-f", "cmake", "-o", "x"), "none.tflite: cannot be read"),
        (
            ("motion.tflite", "-f", "cmake", "-o", "motion.tflite/x"),
            "cannot write to motion.tflite/x",
        ),
        (("motion.tflite", "-f", "rust", "-o", "x"), "no format 'rust'"),
        (("motion.tflite", "-o", "x"), "--format"),
    ):
        assert cli("export", *wrong) == 2
        error = capsys.readouterr().err
        assert says in error
        assert len(error.strip().splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["motion.tflite", "out"]
