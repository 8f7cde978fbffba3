"""Generated C under the sanitizers and the static analyser of the host's compilers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgernn.foreign import step_file
from targets.compile import compile_model
from targets.compiled import Compiled
from tests.targets import test_batch_matmul, test_convolution, test_floats, test_ops_more
from tests.targets.build import Builder, step_model
from tests.targets.fused import fused_lstm

SMALL = {"features": 5, "units": 7, "classes": 3}
STEPS = 300
FLAGS = ["-std=c99", "-O1", "-g", "-fno-sanitize-recover=all", "-fsanitize=address,undefined"]

MAIN = """\
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every array has its own allocation, so that any access outside it is seen. */
static void *make(size_t size) {
  void *p = malloc(size);
  if (p == NULL) exit(3);
  memset(p, 0x5A, size);
  return p;
}

int main(void) {
  model_state_t *state = make(sizeof *state);
  model_scratch_t *scratch = make(sizeof *scratch);
  uint8_t *blob = make(MODEL_BLOB_SIZE);
  ARRAYS
  model_init(state);
  while (READ) {
    model_step(state, scratch, ARGUMENTS);
    model_save(state, blob);
    model_reset(state);
    if (model_restore(state, blob, MODEL_BLOB_SIZE) != 0) return 1;
  }
  blob[MODEL_BLOB_SIZE / 2] ^= 1;
  const int damaged = model_restore(state, blob, MODEL_BLOB_SIZE);
  const int cut = model_restore(state, blob, MODEL_BLOB_SIZE - 1);
  FREE
  free(blob);
  free(scratch);
  free(state);
  return damaged != 0 && cut != 0 ? 0 : 2;
}
"""


def program(compiled: Compiled) -> str:
    """Steps over the frames of standard input, saving and restoring each time."""
    ports = [*compiled.inputs, *compiled.outputs]
    types = {"float32": "float"}
    arrays = [f"{types.get(p.dtype, p.dtype + '_t')} *{p.name} = make({p.bytes});" for p in ports]
    reads = [f"fread({p.name}, {p.bytes}, 1, stdin) == 1" for p in compiled.inputs]
    return (
        MAIN.replace("ARRAYS", "\n  ".join(arrays))
        .replace("READ", " && ".join(reads))
        .replace("ARGUMENTS", ", ".join(p.name for p in ports))
        .replace("FREE", "\n  ".join(f"free({p.name});" for p in ports))
    )


def frames(compiled: Compiled) -> bytes:
    """Random, saturating and, for floats, absurd inputs."""
    random, raw = np.random.default_rng(0), b""
    for k in range(STEPS):
        for port in compiled.inputs:
            if port.dtype == "float32":
                x = random.normal(0, 10.0 ** (k % 12 - 2), port.shape)
                x = x if k % 9 else random.choice([np.nan, np.inf, -np.inf, 3e38], port.shape)
            else:
                limits = np.iinfo(port.dtype)
                x = random.integers(limits.min, limits.max, port.shape, endpoint=True)
                x = x if k % 5 else random.choice([limits.min, limits.max], port.shape)
            raw += x.astype(port.dtype).tobytes()
    return raw


def unary(name, dtype, shape=(1, 24), **options) -> bytes:
    b = Builder()
    q = {"int8": (0.05, 3), "int16": (2.0**-12, 0)}[dtype]
    out = {"LOGISTIC": (2.0**-8, -128), "SOFTMAX": (2.0**-8, -128), "TANH": (2.0**-7, 0)}
    result = out.get(name, q) if dtype == "int8" else (2.0**-15, 0)
    x, y = b.tensor("x", shape, dtype, *q), b.tensor("y", shape, dtype, *result)
    b.op(name, [x], [y], **options)
    return b.finish([x], [y])


def pooled(name) -> bytes:
    b = Builder()
    x, y = b.tensor("x", (1, 5, 4, 3), "int8", 0.1), b.tensor("y", (1, 3, 2, 3), "int8", 0.1)
    b.op(name, [x], [y], padding=0, strideH=2, strideW=2, filterHeight=3, filterWidth=3)
    return b.finish([x], [y])


MODELS = {
    **{
        f"{cell}_{precision}": step_model(cell, precision, layers=2, **SMALL)
        for cell in ("gru", "lstm")
        for precision in ("int8", "int16x8")
    },
    **{
        f"{name}_{dtype}".lower(): unary(
            name, dtype, **({"beta": 1.0} if name == "SOFTMAX" else {})
        )
        for name in ("LOGISTIC", "TANH", "SOFTMAX", "RELU", "RELU6", "RSQRT", "ABS")
        for dtype in ("int8", "int16")
    },
    "edges_int8": test_floats.edges("int8", 0.02, 5),
    "edges_int16": test_floats.edges("int16", 0.001, 0),
    "float_step": test_floats.float_step(),
    **{f"float_{name}".lower(): test_floats.unary(name) for name in ("EXP", "TANH", "RSQRT")},
    **{
        f"batch_matmul_{dtype}": test_batch_matmul.product(
            dtype, ((2,), (2,)), 2, 5, 7, (False, True), (0.1, 0.1, 1.0)
        )
        for dtype in ("int8", "int16")
    },
    **{
        f"fused_{dtype}": step_file(fused_lstm(dtype, 3, True, 2, spread=4.0, clip=0.0))
        for dtype in ("int8", "int16", "float32")
    },
    "convolution": test_convolution.odd(),
    "convolution_padded": test_convolution.odd(padding=0, out=(1, 5, 5, 3)),
    "average_pool": pooled("AVERAGE_POOL_2D"),
    "max_pool": pooled("MAX_POOL_2D"),
    "lookup": test_ops_more.looked_up(np.arange(9), 0),
    "embedding": test_ops_more.looked_up(np.arange(27).reshape(9, 3), 0),
}


def works(command: str, flags: list[str], folder: Path) -> bool:
    """Whether a compiler is there and links with these flags."""
    if shutil.which(command) is None:
        return False
    source = folder / "probe.c"
    source.write_text("int main(void) { return 0; }\n")
    arguments = [command, *flags, str(source), "-o", str(folder / "probe")]
    return subprocess.run(arguments, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("name", MODELS)
def test_sanitizers_find_nothing(name, cc, tmp_path):
    if not works(cc, FLAGS, tmp_path):
        pytest.skip(f"{cc} with AddressSanitizer and UBSan is not installed")
    compiled = compile_model(MODELS[name], "portable", tmp_path, "model")
    (tmp_path / "main.c").write_text(program(compiled))
    binary = tmp_path / "program"
    sources = [str(tmp_path / source) for source in (*compiled.sources, "main.c")]
    subprocess.run([cc, *FLAGS, *sources, "-o", str(binary)], check=True)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    result = subprocess.run(
        [str(binary)], input=frames(compiled), capture_output=True, env=environment
    )
    assert (result.returncode, result.stderr.decode()) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_analyser_finds_nothing(name, tmp_path):
    if not works("gcc", ["-fanalyzer"], tmp_path):
        pytest.skip("gcc with -fanalyzer is not installed")
    compiled = compile_model(MODELS[name], "portable", tmp_path, "model")
    sources = [str(tmp_path / source) for source in compiled.sources]
    flags = ["-std=c99", "-O1", "-fanalyzer", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    for source in sources:
        subprocess.run(["gcc", *flags, "-c", source, "-o", str(tmp_path / "x.o")], check=True)
