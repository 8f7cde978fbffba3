"""Streams in machine code: the same as the reference for layers of any shape; and the errors."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn import interpreters
from edgernn import native as runtime
from edgernn.errors import InputError, MissingDependencyError, ModelFileError, StateError
from targets import build_library, compile_model, emit, toolchain
from targets.frames import made_up
from targets.native import load_native
from tests.targets.build import Builder, step_model
from tests.targets.reference import Reference

SMALL = {"features": 8, "units": 12, "classes": 3}
KINDS = [(cell, precision) for cell in ("gru", "lstm") for precision in ("int8", "int16x8")]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """One cache for the tests of this file, so that each model is built once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv(runtime.VARIABLE, raising=False)
        yield


def no_compiler(monkeypatch, tmp_path):
    """An empty cache, and no zig."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ziglang" else find(name)
    )


def library(data: bytes, folder: Path, name: str = "model", target: str = "host") -> Path:
    return build_library(compile_model(data, target, name=name), folder)


@pytest.mark.parametrize(("cell", "precision"), KINDS)
def test_streams_equal_the_reference(cell, precision):
    model = edgernn.load(step_model(cell, precision, **SMALL))
    native, reference = model.stream("native"), model.stream("tflm")
    frames = np.array([f.reshape(model.frame_shape) for f in made_up(model, 600)])
    expected = reference.push_raw(frames)
    np.testing.assert_array_equal(native.push_raw(frames), expected)
    assert native.save() == reference.save()

    native.reset()
    pieces = [native.push_raw(frames[:1]), native.push_raw(frames[1][None])]
    pieces += [native.push_raw(frame)[None] for frame in frames[2:40]]
    pieces += [native.push_raw(frames[40:41]), native.push_raw(frames[41:])]
    np.testing.assert_array_equal(np.concatenate(pieces), expected)


def test_float_frames_and_views_of_larger_arrays():
    model = edgernn.load(step_model("gru", "int8", **SMALL))
    frames = np.random.default_rng(0).normal(size=(30, 16))[::2, ::2]
    expected = model.stream("tflm").push(frames)
    np.testing.assert_array_equal(model.stream("native").push(frames), expected)
    stream = model.stream("native")
    np.testing.assert_array_equal(np.array([stream.push(f) for f in frames]), expected)


def test_streams_share_nothing():
    model = edgernn.load(step_model("lstm", "int8", **SMALL))
    frames = [f.reshape(model.frame_shape) for f in made_up(model, 40)]
    alone = [model.stream("native").push_raw(np.array(frames[k:])) for k in (0, 7)]
    one, two = model.stream("native"), model.stream("native")
    for k, (a, b) in enumerate(zip(frames, frames[7:], strict=False)):
        np.testing.assert_array_equal(one.push_raw(a), alone[0][k])
        np.testing.assert_array_equal(two.push_raw(b), alone[1][k])


def test_streams_in_threads():
    model = edgernn.load(step_model("gru", "int16x8", **SMALL))
    block = np.array([f.reshape(model.frame_shape) for f in made_up(model, 3000)])
    expected = model.stream("native").push_raw(block)
    results: dict[int, np.ndarray] = {}

    def work(k: int) -> None:
        stream = model.stream("native")
        parts = [stream.push_raw(part) for part in np.array_split(block, 20)]
        results[k] = np.concatenate(parts)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        np.testing.assert_array_equal(results[k], expected)


def test_saved_states_go_between_backends():
    model = edgernn.load(step_model("lstm", "int16x8", **SMALL))
    frames = np.array([f.reshape(model.frame_shape) for f in made_up(model, 60)])
    native, other = model.stream("native"), model.stream("litert")
    reference = model.stream("tflm")
    reference.push_raw(frames[:30])
    native.restore(reference.save())
    np.testing.assert_array_equal(native.push_raw(frames[30:]), reference.push_raw(frames[30:]))
    other.restore(native.save())
    with pytest.raises(StateError):
        native.restore(native.save()[:-1])


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_layers_of_every_shape(dtype):
    """Blocks of rows and columns that are full, nearly full, or nearly empty; one build for all."""
    random, limits, b = np.random.default_rng(0), np.iinfo(dtype), Builder()
    inputs, outputs = [], []
    for columns in (1, 7, 8, 9, 40, 61):
        zero = 0 if dtype == "int16" else int(random.integers(-128, 128))
        x = b.tensor(f"x{columns}", (1, columns), dtype, 2.0**-10, zero)
        inputs.append(x)
        for rows in (1, 15, 16, 17, 64, 65, 144):
            outputs.append(dense(b, random, x, dtype, rows, columns))
    data = b.finish(inputs, outputs)
    native, reference = load_native(data, "host"), Reference(data)
    for k in range(40):
        shapes = [port.shape for port in native.compiled.inputs]
        frames = [random.integers(limits.min, limits.max + 1, shape) for shape in shapes]
        if k < 2:
            frames = [np.full(shape, limits.max if k else limits.min) for shape in shapes]
        frames = [x.astype(dtype) for x in frames]
        for a, expected in zip(native.step(*frames), reference.step(*frames), strict=True):
            np.testing.assert_array_equal(a, expected)
    kernels = re.findall(r"edgernn_fully_connected_\w+\(", native.compiled.files["model.c"])
    assert kernels.count(f"edgernn_fully_connected_s{dtype[3:]}_simd(") > 30


def dense(b: Builder, random: np.random.Generator, x: int, dtype: str, rows: int, columns: int):
    """A layer with a scale a row, some of which saturate."""
    wide = dtype == "int16"
    scales = random.uniform(0.5, 2, rows) / 1000
    weights = random.integers(-127, 128, (rows, columns))
    w = b.const(f"w{rows}_{columns}", weights, "int8", scales)
    bias = random.integers(-5000, 5000, rows)
    bias = b.const(f"b{rows}_{columns}", bias, "int64" if wide else "int32", 2.0**-10 * scales)
    scale = 2.0**-10 / 1000 * np.sqrt(columns) * 73 * (256 / 9000 if wide else 1 / 40)
    zero = 0 if wide else int(random.integers(-128, 128))
    y = b.tensor(f"y{rows}_{columns}", (1, rows), dtype, scale, zero)
    return b.op("FULLY_CONNECTED", [x, w, bias], [y])


def test_a_library_beside_the_model_needs_no_compiler(tmp_path, monkeypatch):
    data = step_model("gru", "int8", **SMALL)
    (tmp_path / "kws.tflite").write_bytes(data)
    library(data, tmp_path, "any_name")
    no_compiler(monkeypatch, tmp_path)
    model = edgernn.load(tmp_path / "kws.tflite")
    frames = np.array([f.reshape(model.frame_shape) for f in made_up(model, 50)])
    got = model.stream("native").push_raw(frames)
    np.testing.assert_array_equal(got, model.stream("tflm").push_raw(frames))


def test_no_library_and_no_compiler(tmp_path, monkeypatch):
    data = step_model("gru", "int8", **SMALL)
    path = tmp_path / "kws.tflite"
    path.write_bytes(data)
    library(step_model("gru", "int8", seed=1, **SMALL), tmp_path, "kws")
    (tmp_path / "none.so").write_bytes(b"\x7fELF of something else")
    no_compiler(monkeypatch, tmp_path)
    with pytest.raises(MissingDependencyError, match=r"libkws\.so is of another model") as error:
        edgernn.load(path).stream("native")
    assert "pip install 'edgernn[mcu]'" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(MissingDependencyError, match=r"^there is no library .*, and no C"):
        edgernn.load(data).stream("native")


def test_the_library_that_is_named(tmp_path, monkeypatch):
    data, stranger = (step_model("gru", "int8", seed=k, **SMALL) for k in (0, 1))
    path = library(data, tmp_path)
    no_compiler(monkeypatch, tmp_path)
    for name in (path, tmp_path):
        monkeypatch.setenv(runtime.VARIABLE, str(name))
        edgernn.load(data).stream("native")
        with pytest.raises(ModelFileError, match=f"{name.name} .*of this model: run `edg") as error:
            edgernn.load(stranger).stream("native")
        assert "\n" not in str(error.value)
    monkeypatch.setenv(runtime.VARIABLE, str(tmp_path / "missing.so"))
    with pytest.raises(ModelFileError, match=r"missing\.so .* is not the library"):
        edgernn.load(data).stream("native")


def test_a_library_of_another_machine(tmp_path, monkeypatch):
    data = step_model("gru", "int8", **SMALL)
    foreign = "raspberry-pi-32" if platform.machine() != "armv7l" else "raspberry-pi-64"
    path = library(data, tmp_path, target=foreign)
    (tmp_path / "model.tflite").write_bytes(data)
    edgernn.load(tmp_path / "model.tflite").stream("native")  # built: that one is not for here
    monkeypatch.setenv(runtime.VARIABLE, str(path))
    with pytest.raises(ModelFileError, match=r"libmodel\.so cannot be loaded here") as error:
        edgernn.load(data).stream("native")
    assert "\n" not in str(error.value)


def test_missing_templates(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jinja2", None)
    emit._environment.cache_clear()  # an earlier test may have loaded it
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgernn\[mcu\]'"):
        edgernn.load(step_model("gru", "int8", **SMALL)).stream("native")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"cannot write to .*XDG_CACHE_HOME"):
        edgernn.load(step_model("gru", "int8", **SMALL)).stream("native")


def test_a_file_where_the_cache_should_be(tmp_path, monkeypatch):
    (tmp_path / "edgernn").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"cannot write to .*XDG_CACHE_HOME") as error:
        edgernn.load(step_model("gru", "int8", **SMALL)).stream("native")
    assert "\n" not in str(error.value)


def test_first_builds_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "m.tflite"
    path.write_bytes(step_model("gru", "int8", **SMALL))
    code = f"import edgernn; s = edgernn.load({str(path)!r}).stream('native'); print(s.backend)"
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [job.communicate()[0].strip() for job in jobs] == ["native"] * 3
    assert len(list((tmp_path / "edgernn").iterdir())) == 1


def test_auto_is_never_native(monkeypatch):
    for backend in interpreters.BACKENDS.values():
        if backend.module != "edgernn.native":
            monkeypatch.setitem(sys.modules, backend.module.partition(":")[0], None)
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    with pytest.raises(MissingDependencyError, match="no TFLite interpreter"):
        interpreters.choose()


def test_targets_without_libraries_are_refused(tmp_path):
    compiled = compile_model(step_model("gru", "int8", **SMALL), "cortex-m4", name="model")
    with pytest.raises(InputError, match="cortex-m4 has no shared libraries"):
        build_library(compiled, tmp_path)


PROCESSORS = {"baseline": "x86_64", "avx2": "x86_64_v3", "avx512": "x86_64_v4+avx512vnni"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86-64")
@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_every_instruction_set_gives_the_same(processor, precision, tmp_path, monkeypatch):
    flags = Path("/proc/cpuinfo").read_text()
    if {"avx2": "avx2", "avx512": "avx512_vnni", "baseline": ""}[processor] not in flags:
        pytest.skip(f"this processor has no {processor}")
    data = step_model("gru", precision, **SMALL)
    compiled = compile_model(data, "host", name="model")
    core = dataclasses.replace(compiled.core, zig=(f"-mcpu={PROCESSORS[processor]}",))
    path = build_library(dataclasses.replace(compiled, core=core), tmp_path)
    monkeypatch.setenv(runtime.VARIABLE, str(path))
    model = edgernn.load(data)
    frames = np.array([f.reshape(model.frame_shape) for f in made_up(model, 200)])
    expected = model.stream("tflm").push_raw(frames)
    np.testing.assert_array_equal(model.stream("native").push_raw(frames), expected)


EMULATORS = {"raspberry-pi-64": "qemu-aarch64", "raspberry-pi-32": "qemu-arm"}


@pytest.mark.slow
@pytest.mark.parametrize("target", EMULATORS)
@pytest.mark.parametrize(("cell", "precision"), KINDS)
def test_raspberry_pi_is_bit_exact(cell, precision, target, tmp_path):
    emulator = shutil.which(EMULATORS[target]) or shutil.which(f"{EMULATORS[target]}-static")
    if emulator is None:
        pytest.skip("no emulator of Linux programs: apt-get install qemu-user")
    model = edgernn.load(step_model(cell, precision, features=13, units=67, classes=5))
    frames = np.array([f.reshape(model.frame_shape) for f in made_up(model, 400)])
    reference = model.stream("tflm")
    expected = reference.push_raw(frames)
    program = piped(model.data, target, tmp_path)
    result = subprocess.run([emulator, program], input=frames.tobytes(), capture_output=True)
    assert result.returncode == 0, result.stderr
    blob = reference.save()
    assert result.stdout[: -len(blob)] == expected.tobytes()
    assert result.stdout[-len(blob) :] == blob


PIPED = """
#include "model.h"

#if defined(__aarch64__)
enum {{ READ = 63, WRITE = 64, EXIT = 93 }};
#define NUMBER "x8"
#define ARGUMENT "x"
#else
enum {{ EXIT = 1, READ = 3, WRITE = 4 }};
#define NUMBER "r7"
#define ARGUMENT "r"
#endif

static long system_call(long number, long file, void *data, long size) {{
  register long n __asm__(NUMBER) = number;
  register long a __asm__(ARGUMENT "0") = file;
  register void *b __asm__(ARGUMENT "1") = data;
  register long c __asm__(ARGUMENT "2") = size;
  __asm__ volatile("svc #0" : "+r"(a) : "r"(n), "r"(b), "r"(c) : "memory");
  return a;
}}

static int all(long number, long file, void *data, long size) {{
  for (uint8_t *next = data; size > 0;) {{
    long done = system_call(number, file, next, size);
    if (done <= 0) return 0;
    next += done;
    size -= done;
  }}
  return 1;
}}

void _start(void) {{
  static model_state_t state;
  static model_scratch_t scratch;
  static {x_type} x[{x_size}];
  static {y_type} y[{y_size}];
  static uint8_t blob[MODEL_BLOB_SIZE];
  int written = 1;
  model_init(&state);
  while (written && all(READ, 0, x, sizeof x)) {{
    model_step(&state, &scratch, x, y);
    written = all(WRITE, 1, y, sizeof y);
  }}
  model_save(&state, blob);
  written = written && all(WRITE, 1, blob, sizeof blob);
  for (;;) system_call(EXIT, written ? 0 : 1, 0, 0);
}}
"""


# Zig's compiler runtime has them; the headers come with a C library alone.
STRING = """
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int value, size_t size);
void *memmove(void *to, const void *from, size_t size);
int memcmp(const void *one, const void *two, size_t size);
"""


def piped(data: bytes, target: str, folder: Path) -> Path:
    """A program that makes a step for each frame that it reads.

    It needs no C library, which zig would first have to build for the processor.
    """
    compiled = compile_model(data, target, folder, "model")
    (x,), (y,) = compiled.inputs, compiled.outputs
    types = {"x_type": f"{x.dtype}_t", "y_type": f"{y.dtype}_t"}
    text = PIPED.format(x_size=x.elements, y_size=y.elements, **types)
    (folder / "main.c").write_text(text)
    (folder / "string.h").write_text(STRING)
    warnings = [*toolchain.WARNINGS, compiled.core.optimize]
    alone = ["-static", "-ffreestanding", "-nostdlib", "-lcompiler_rt", "-I", str(folder)]
    sources = [str(folder / name) for name in (*compiled.sources, "main.c")]
    output = ["-o", str(folder / "program")]
    toolchain.toolchain().run([*compiled.core.zig, *warnings, *alone, *sources, *output])
    return folder / "program"
