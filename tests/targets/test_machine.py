"""Calls of C functions on this machine and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import InputError
from targets.machine import EmulatedMachine, GuardError, machine

FILES = {
    "sum.h": """#include <stdint.h>
int32_t scaled_sum(const int16_t *x, int32_t n, int64_t scale, int32_t *y, int64_t offset);
int32_t overrun(int32_t *y, int32_t n);
""",
    "sum.c": """#include "sum.h"
int32_t scaled_sum(const int16_t *x, int32_t n, int64_t scale, int32_t *y, int64_t offset) {
  int64_t sum = offset;
  for (int32_t i = 0; i < n; i++) {
    sum += x[i] * scale;
  }
  y[0] = (int32_t)(sum >> 32);
  y[1] = (int32_t)sum;
  return -n;
}
int32_t overrun(int32_t *y, int32_t n) {
  y[n] = 1;
  return 0;
}
""",
}
FUNCTIONS = ["scaled_sum", "overrun"]


@pytest.mark.parametrize("core", ["host", "cortex-m0", "cortex-m4"])
def test_arguments_of_every_kind(core):
    x = np.arange(-3, 7, dtype=np.int16)
    y = np.zeros(2, np.int32)
    built = machine(FILES, core, FUNCTIONS)
    for scale, offset in [(3, 5), (-(1 << 40) - 1, 1 << 45)]:
        assert built.call("scaled_sum", x, len(x), np.int64(scale), y, np.int64(offset)) == -10
        assert (int(y[0]) << 32) + int(y[1].view(np.uint32)) == int(x.sum()) * scale + offset


def test_instructions_are_counted_and_memory_is_guarded():
    built = machine(FILES, "cortex-m4", FUNCTIONS)
    assert isinstance(built, EmulatedMachine)
    y, one = np.zeros(2, np.int32), np.int64(1)
    counts = [built.count("scaled_sum", np.zeros(n, np.int16), n, one, y, one) for n in (0, 8, 16)]
    assert counts[0] < counts[1] < counts[2]
    with pytest.raises(GuardError, match="overrun"):
        built.call("overrun", y, 2)


def test_what_does_not_compile_is_told():
    with pytest.raises(InputError, match="error"):
        machine({"x.c": "int x = y;"}, "host", [])
