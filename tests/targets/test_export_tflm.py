"""The wrapper of the TFLM export with the kernels of the `tflite-micro` wheel behind it.

The headers are stand-ins: `Invoke` calls this process, which runs the wheel.
"""

import ctypes
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgernn import load
from targets.exports import export, tflm
from tests.targets.build import step_model
from tests.targets.exported import described, motion, plain, run

runtime = pytest.importorskip("tflite_micro", reason="pip install tflite-micro").runtime
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is missing")

_INTERPRETER = """\
#pragma once
#include <stddef.h>
#include <stdint.h>
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
struct TfLiteTensor { struct { char *raw; } data; size_t bytes; };
extern "C" {
extern TfLiteTensor stub_inputs[16], stub_outputs[16];
extern int (*stub_invoke)(void);
extern int stub_added, stub_capacity;
extern uintptr_t stub_arena, stub_model;
}
namespace tflite {
struct Model {};
struct MicroInterpreter {
  template <typename Resolver>
  MicroInterpreter(const Model *model, const Resolver &, uint8_t *arena, size_t) {
    stub_arena = (uintptr_t)arena;
    stub_model = (uintptr_t)model;
  }
  TfLiteStatus AllocateTensors() { return stub_added == stub_capacity ? kTfLiteOk : kTfLiteError; }
  TfLiteTensor *input(size_t i) { return &stub_inputs[i]; }
  TfLiteTensor *output(size_t i) { return &stub_outputs[i]; }
  TfLiteStatus Invoke() { return stub_invoke() == 0 ? kTfLiteOk : kTfLiteError; }
  size_t arena_used_bytes() const { return 0; }
};
}
"""

_RESOLVER = """\
#pragma once
#include "tensorflow/lite/micro/micro_interpreter.h"
namespace tflite {
template <unsigned int N> struct MicroMutableOpResolver {
  MicroMutableOpResolver() { stub_capacity = N; }
  TfLiteStatus add() { stub_added++; return kTfLiteOk; }
METHODS
};
}
"""

_SCHEMA = """\
#pragma once
#include "tensorflow/lite/micro/micro_interpreter.h"
namespace tflite {
inline const Model *GetModel(const void *data) { return (const Model *)data; }
}
"""

_FACTS = """\
#include "NAME.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
extern "C" {
TfLiteTensor stub_inputs[16], stub_outputs[16];
int (*stub_invoke)(void);
int stub_added, stub_capacity;
uintptr_t stub_arena, stub_model;
int state_size = sizeof(NAME_state_t);
int scratch_size = sizeof(NAME_scratch_t);
int blob_size = MODEL_BLOB_SIZE;
void NAME_print(const char *) {}
}
"""


class Wrapped:
    """The exported wrapper as a library, and the wheel's interpreter behind `Invoke`."""

    def __init__(self, data: bytes, name: str, folder: Path) -> None:
        made = export(data, "tflm", folder / "p", name=name)
        self.data, self.name, self.project = data, name, made.project
        include = folder / "tensorflow/lite"
        (include / "micro").mkdir(parents=True)
        (include / "schema").mkdir()
        ops = sorted(tflm._RESOLVABLE)
        methods = "\n".join(f"  TfLiteStatus Add{op}() {{ return add(); }}" for op in ops)
        (include / "micro/micro_interpreter.h").write_text(_INTERPRETER)
        (include / "micro/micro_mutable_op_resolver.h").write_text(
            _RESOLVER.replace("METHODS", methods)
        )
        (include / "schema/schema_generated.h").write_text(_SCHEMA)
        (folder / "facts.cc").write_text(_FACTS.replace("NAME", name))
        model = folder / "p/model"
        places = [f"-I{folder}", f"-I{model}"]
        flags = ["-O1", "-fPIC", "-Wall", "-Wextra", "-Werror", *places]
        objects = [folder / f"{path.name}.o" for path in model.glob("*.c")]
        for path in objects:
            run("gcc", "-std=c99", *flags, "-c", model / path.name[:-2], "-o", path)
        sources = [*model.glob("*.cc"), folder / "p/sensor.cc", folder / "facts.cc"]
        library = folder / "lib.so"
        run("g++", "-std=c++17", *flags, "-shared", *sources, *objects, "-o", library)
        self.library = ctypes.CDLL(str(library))
        self.state = ctypes.create_string_buffer(self.fact("state_size"))
        self.scratch = ctypes.create_string_buffer(self.fact("scratch_size"))
        self._connect()

    def fact(self, name: str, kind: type = ctypes.c_int) -> int:
        return kind.in_dll(self.library, name).value

    def _connect(self) -> None:
        graph = load(self.data).graph
        self.interpreter = runtime.Interpreter.from_bytes(self.data, arena_size=1 << 20)
        tensor = type("Tensor", (ctypes.Structure,), {
            "_fields_": [("raw", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]})  # fmt: skip
        self.buffers = {}
        for side, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            slots = (tensor * 16).in_dll(self.library, f"stub_{side}")
            arrays = [np.zeros(graph.tensors[i].shape, graph.tensors[i].dtype) for i in indices]
            for slot, values in zip(slots, arrays, strict=False):
                slot.raw, slot.bytes = values.ctypes.data, values.nbytes
            self.buffers[side] = arrays

        def invoke() -> int:
            for i, values in enumerate(self.buffers["inputs"]):
                self.interpreter.set_input(values, i)
            self.interpreter.invoke()
            for i, values in enumerate(self.buffers["outputs"]):
                values[...] = self.interpreter.get_output(i)
            return 0

        self.callback = ctypes.CFUNCTYPE(ctypes.c_int)(invoke)
        ctypes.c_void_p.in_dll(self.library, "stub_invoke").value = ctypes.cast(
            self.callback, ctypes.c_void_p
        ).value

    def call(self, verb: str, *arguments) -> int:
        return getattr(self.library, f"{self.name}_{verb}")(*arguments)

    def step(self, frame: np.ndarray) -> np.ndarray:
        (y,) = self.project.compiled.outputs
        out = np.zeros(y.elements, y.dtype)
        pointers = ctypes.c_void_p(frame.ctypes.data), ctypes.c_void_p(out.ctypes.data)
        self.call("step", self.state, self.scratch, *pointers)
        return out


@pytest.mark.parametrize("which", [motion, plain])
def test_a_thousand_steps_with_the_state_carried(tmp_path, which):
    wrapped = Wrapped(which(), "model", tmp_path)
    model = load(which())
    info = np.iinfo(model.x.dtype)
    random = np.random.default_rng(5)
    frames = random.integers(info.min, info.max, (1000, *model.x.shape[1:])).astype(model.x.dtype)
    expected = np.asarray(model.stream("tflm").push_raw(frames)).reshape(1000, -1)
    assert wrapped.call("selftest", wrapped.state, wrapped.scratch) == 0
    wrapped.call("reset", wrapped.state)
    blob = ctypes.create_string_buffer(wrapped.fact("blob_size"))
    for i, frame in enumerate(frames):
        if i == 500:  # another stream in between
            wrapped.call("save", wrapped.state, blob)
            wrapped.call("reset", wrapped.state)
            np.testing.assert_array_equal(wrapped.step(frames[0]), expected[0])
            assert wrapped.call("restore", wrapped.state, blob, len(blob)) == 0
        np.testing.assert_array_equal(wrapped.step(np.ascontiguousarray(frame)), expected[i])
    stream = model.stream("tflm")
    stream.push_raw(frames[:500])
    assert blob.raw == stream.save()
    assert wrapped.fact("stub_added") == wrapped.fact("stub_capacity") > 3
    for address in ("stub_arena", "stub_model"):
        assert wrapped.fact(address, ctypes.c_size_t) % 16 == 0


@pytest.mark.parametrize("which", [motion, plain])
def test_the_arena_is_within_its_margin(tmp_path, which):
    """What is given is the least with which the wheel runs, and the margin."""
    export(which(), "tflm", tmp_path / "p", name="model")
    header = (tmp_path / "p/model/model_tflm.h").read_text()
    given = int(re.search(r"arena_size = (\d+);", header)[1])
    least = tflm.arena_bytes(which())
    assert runs(which(), least)
    assert not runs(which(), least - 64)
    assert least + tflm.MARGIN <= given < least + tflm.MARGIN + 16


def runs(data: bytes, arena: int) -> bool:
    try:
        runtime.Interpreter.from_bytes(data, arena_size=arena).invoke()
    except RuntimeError:
        return False
    return True


def test_counted_steps_are_counted_in_the_wrapper(tmp_path):
    """A warm-up: the first predictions are none, there as in the C."""
    data = described(step_model("gru", "int8", features=4, units=8, classes=3), warmup=3)
    wrapped = Wrapped(data, "model", tmp_path)
    wrapped.call("init", wrapped.state)
    ready = []
    for _ in range(6):
        wrapped.step(np.zeros(4, np.int8))
        ready.append(bool(wrapped.call("ready", wrapped.state)))
    assert ready == [False] * 3 + [True] * 3
    assert wrapped.call("selftest", wrapped.state, wrapped.scratch) == 0
