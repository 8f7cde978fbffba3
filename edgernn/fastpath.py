"""One float frame through a model, at the cost of little more than the interpreter.

A step of a small network takes 1 to 10 microseconds and every NumPy call a quarter of one, so here
each call counts: constants are arrays (NumPy is slower with scalars) and locals of one flat
function, and results go into buffers made once. The result equals that of `codec`, bit for
bit; a frame for which it would not is not taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy import add, bitwise_xor, divide, isfinite, multiply, right_shift, subtract

from edgernn.codec import Decoder, Encoder
from edgernn.interpreters import Interpreter
from edgernn.ports import Ports

Array = npt.NDArray[Any]
Prediction = npt.NDArray[np.float32]
Step = Callable[[Array, Sequence[memoryview]], Prediction | None]
RawStep = Callable[[Array, Sequence[memoryview]], Array]
Run = Callable[[Array, Sequence[memoryview], Array], None]

FLOAT32: Final = np.dtype(np.float32)
FLOAT64: Final = np.dtype(np.float64)
ALL: Final = slice(None)

ROUNDING: Final = 1.5 * 2.0**52
"""Between 2^52 and 2^53 a float64 has no fraction bits, so adding this rounds half to even."""


def make_step(encoder: Encoder, decoder: Decoder, interpreter: Interpreter) -> Step:
    """A function `(frame, states) -> prediction` that replaces the bytes of the states.

    It returns None, and has done nothing, for a frame that is not ordinary: not float32 or
    float64, or with a value that is NaN, infinite or saturates. The frame has the right shape.
    """
    x, y = interpreter.inputs[0][0], interpreter.outputs[0][0]
    before = tuple(bytes_of(array) for array in interpreter.inputs[1:])
    after = tuple(bytes_of(array) for array in interpreter.outputs[1:])
    one_state = len(before) == 1
    invoke = interpreter.invoke

    gain, offset = encoder.gain, encoder.offset
    real = np.empty(x.shape)
    quantized = encoder.quantized
    if quantized:
        size = x.dtype.itemsize
        unsigned = np.dtype(f"u{size}")
        limits = np.iinfo(str(x.dtype))
        # The range of the type is moved to 0, 1, ... What is added for that must be even, because
        # ties go by the parity of the sum; where it is odd, counting down from the top is not.
        down = encoder.zero_point % 2 == 1
        shift = limits.max - encoder.zero_point if down else encoder.zero_point - limits.min
        scale = np.full(x.shape, -encoder.scale if down else encoder.scale)
        rounding = np.full(x.shape, ROUNDING + shift)
        mantissa = real.view(np.int64)
        low = real.view(unsigned)[..., :: 8 // size]
        # In two's complement, moving the range back is a change of bits.
        back = np.full(x.shape, limits.max if down else limits.min).astype(unsigned)
        target = x.view(unsigned)
        width = np.full(x.shape, 8 * size, np.int64)
        high_bytes = bytearray(8 * x.size)
        high = np.frombuffer(high_bytes, np.int64).reshape(x.shape)
        ordinary = bytearray((np.full(x.shape, ROUNDING).view(np.int64) >> width).tobytes())
    else:
        flags = bytearray(math.prod(x.shape))
        finite = np.frombuffer(flags, np.bool_).reshape(x.shape)
    zero = None if decoder.zero is None else np.full(y.shape, decoder.zero)
    factor = None if decoder.scale is None else np.full(y.shape, decoder.scale)
    one_byte = y.dtype.itemsize == 1
    if one_byte:  # every possible prediction, looked up
        table = decoder.decode(np.arange(256, dtype=np.uint8).view(y.dtype))
        index, y_unsigned = np.empty(y.shape, np.intp), y.view(np.uint8)

    def step(frame: Array, states: Sequence[memoryview]) -> Prediction | None:
        dtype = frame.dtype
        if dtype is not FLOAT64 and dtype is not FLOAT32:
            return None
        if dtype is FLOAT32 and quantized:
            real[...] = frame  # cheaper than operands of two types
            frame = real
        if gain is not None and offset is not None:
            multiply(frame, gain, real)
            add(real, offset, real)
            frame = real
        if quantized:
            divide(frame, scale, real)
            add(real, rounding, real)
            # The integer now stands in the low mantissa bits. In range, and so finite, it fills
            # one or two bytes, and all bits above are the same for every value.
            right_shift(mantissa, width, high)
            if high_bytes != ordinary:
                return None
            bitwise_xor(low, back, target)
        else:
            x[...] = frame
            isfinite(x, finite)
            if 0 in flags:
                return None
        if one_state:
            before[0][ALL] = states[0]
            invoke()
            states[0][ALL] = after[0]
        else:
            for entering, state in zip(before, states):  # noqa: B905 (strict is slower)
                entering[ALL] = state
            invoke()
            for state, leaving in zip(states, after):  # noqa: B905
                state[ALL] = leaving
        if one_byte:
            index[...] = y_unsigned
            looked_up: Prediction = table[index]
            return looked_up
        prediction: Prediction = y.astype(FLOAT32)
        if zero is not None:
            subtract(prediction, zero, prediction)
        if factor is not None:
            multiply(prediction, factor, prediction)
        return prediction

    return step


def make_raw_step(interpreter: Interpreter) -> RawStep:
    """A function `(raw frame, states) -> raw prediction` that replaces the bytes of the states.

    The frame has the right type and shape, and finite values.
    """
    x, y = interpreter.inputs[0], interpreter.outputs[0][0]
    before = tuple(bytes_of(array) for array in interpreter.inputs[1:])
    after = tuple(bytes_of(array) for array in interpreter.outputs[1:])
    invoke = interpreter.invoke

    def step(frame: Array, states: Sequence[memoryview]) -> Array:
        x[...] = frame
        for entering, state in zip(before, states):  # noqa: B905
            entering[ALL] = state
        invoke()
        for state, leaving in zip(states, after):  # noqa: B905
            state[ALL] = leaving
        prediction: Array = y.copy()
        return prediction

    return step


def make_joined_step(interpreter: Interpreter, frames: Ports, predictions: Ports) -> RawStep:
    """`make_raw_step` for several inputs or outputs, which are fields of structured arrays."""
    xs = dict(zip(frames.names, interpreter.inputs, strict=False))
    ys = dict(zip(predictions.names, interpreter.outputs, strict=False))
    before = tuple(bytes_of(array) for array in interpreter.inputs[len(xs) :])
    after = tuple(bytes_of(array) for array in interpreter.outputs[len(ys) :])

    def step(frame: Array, states: Sequence[memoryview]) -> Array:
        for name, x in xs.items():
            x[...] = frames.part(frame, name)
        for entering, state in zip(before, states, strict=True):
            entering[ALL] = state
        interpreter.invoke()
        for state, leaving in zip(states, after, strict=True):
            state[ALL] = leaving
        prediction: Array = predictions.join([*ys.values()])[0]
        return prediction

    return step


def make_run(interpreter: Interpreter, raw_step: RawStep) -> Run:
    """A function `(raw frames, states, raw predictions)` that makes a step for each frame."""
    run = interpreter.run
    if run is None:
        return frame_by_frame(raw_step)
    kept = {id(array) for array in interpreter.outputs}
    memory = tuple(bytes_of(array) for array in interpreter.inputs if id(array) in kept)

    def block(frames: Array, states: Sequence[memoryview], predictions: Array) -> None:
        for entering, state in zip(memory, states, strict=True):
            entering[ALL] = state
        run(np.ascontiguousarray(frames), predictions)
        for state, leaving in zip(states, memory, strict=True):
            state[ALL] = leaving

    return block


def frame_by_frame(step: RawStep) -> Run:
    """A block as single steps."""

    def block(frames: Array, states: Sequence[memoryview], predictions: Array) -> None:
        for i, frame in enumerate(frames):
            predictions[i] = step(frame, states)

    return block


def bytes_of(array: Array) -> memoryview:
    """An array's memory as bytes, because copying that is three times as fast."""
    return memoryview(array.reshape(-1).data).cast("B")
