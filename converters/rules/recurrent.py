"""Recurrent layers: the cell is called once for each frame, its state is a state of the step.

The three standard cells have formulas of their own, with one FULLY_CONNECTED per gate and input:
it costs no more multiplications than Keras' joint kernels, saves the SPLIT behind them, and gives
every gate its own quantization range. Any other cell is traced as its author wrote it.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.layers.rnn.conv_lstm import ConvLSTMCell

from converters import activations
from converters.registry import CELLS, cell, rule
from converters.rings import aligned, schedule
from converters.rules.activation import formula_of
from converters.step import Signal, Step


@rule(keras.layers.RNN)
def rnn(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal | list[Signal]:
    """LSTM, GRU, SimpleRNN and RNN(cell): state in, one cell call a frame, state out."""
    if layer.go_backwards:
        raise step.unsupported(
            "go_backwards=True on an endless sequence",
            "a stream runs forwards; give the model's Input a fixed length, or convert with "
            "--window T or --lookahead N",
        )
    return recur(layer, inputs, step)


def recur(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal | list[Signal]:
    """A recurrent layer on the frames in the order in which they come."""
    if not isinstance(layer.cell, keras.layers.Layer):
        raise step.unsupported("a cell that is no Keras layer", "derive it from keras.layers.Layer")
    if not all(signal.static for signal in inputs[1:]):
        raise step.unsupported(
            "an initial state that depends on frames",
            "compute it from an input without a time axis, or start from zeros",
        )
    if not inputs[0].is_sequence:
        raise step.unsupported("recurrence over a tensor without a time axis", "feed a sequence")
    cells = (
        layer.cell.cells if isinstance(layer.cell, keras.layers.StackedRNNCells) else [layer.cell]
    )
    signal = aligned(inputs[0], step)
    starts = signal.warmup // len(signal.frames)
    names, states = [], []
    for i, one in enumerate(cells):
        prefix = f"{i}_" if len(cells) > 1 else ""
        for short, shape in zip(_state_names(one), _state_shapes(one), strict=True):
            zeros = np.zeros((1, *shape), np.float32)
            name, value = step.state(prefix + short, zeros, short == "c", starts)
            names.append(name)
            states.append(value)
    if len(inputs) > 1:  # added to the zeros that the state begins with
        begin, *_ = schedule(signal, step, [1.0, 0.0], "begin")
        given = [one.frames[0] for one in inputs[1:]]
        states = [h + begin * first for h, first in zip(states, given, strict=True)]
    outputs = []
    for frame in signal.frames:
        output, states = _call(cells, frame, states, step)
        outputs.append(output)
    for name, value in zip(names, states, strict=True):
        step.carry(name, value)
    step.note(type(layer).__name__, f"{len(names)} carried state{'s' * (len(names) > 1)}")
    sequence = replace(signal, frames=tuple(outputs))
    result = sequence if layer.return_sequences else sequence.last()
    if layer.return_state:
        return [result, *(signal.without_time(value, starts) for value in states)]
    return result


def _state_shapes(one: Any) -> list[tuple[int, ...]]:
    sizes = one.state_size
    if sizes == -1:  # a ConvLSTM cell's depends on the size of its images
        return [tuple(state.shape[1:]) for state in one.get_initial_state(1)]
    sizes = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
    return [tuple(s) if isinstance(s, (list, tuple)) else (int(s),) for s in sizes]


def _state_names(one: Any) -> list[str]:
    shapes = _state_shapes(one)
    if type(one) in (keras.layers.LSTMCell, ConvLSTMCell):
        return ["h", "c"]
    return ["h"] if len(shapes) == 1 else [f"s{i}" for i in range(len(shapes))]


def _call(cells: Sequence[Any], x: Any, states: Sequence[Any], step: Step) -> tuple[Any, list[Any]]:
    """One frame through a stack of cells; the states of all of them in one flat list."""
    carried: list[Any] = []
    for one in cells:
        own = list(states[len(carried) : len(carried) + len(_state_shapes(one))])
        formula = CELLS.get(type(one))
        with ExitStack() as stack:
            stack.enter_context(_gate_activations(one, step))
            x, own = formula(one, x, own) if formula else _traced(one, x, own)
        carried += own
    return x, carried


def _gate_activations(one: Any, step: Step) -> Any:
    """The cell with each Keras activation it holds replaced by its formula."""
    held = {
        name: formula_of(one, getattr(one, name), step)
        for name in ("activation", "recurrent_activation")
        if callable(getattr(one, name, None))
    }
    return activations.said(one, **held)


def _traced(one: Any, x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
    """The cell's own call, for a cell without a formula (a user's)."""
    kwargs = {"training": False} if getattr(one, "_call_has_training_arg", False) else {}
    output, new = one.call(x, states, **kwargs)
    new = list(new) if isinstance(new, (list, tuple)) else [new]
    return output, [tf.reshape(v, s.shape) for v, s in zip(new, states, strict=True)]


def _gates(weights: Any, count: int) -> list[Any]:
    return list(tf.split(tf.convert_to_tensor(weights), count, axis=-1))


def _biases(one: Any, count: int) -> list[Any]:
    return _gates(one.bias, count) if one.use_bias else [None] * count


def _affine(x: Any, kernel: Any, bias: Any, name: str) -> Any:
    y = tf.matmul(x, kernel, name=name)
    return y if bias is None else tf.nn.bias_add(y, bias, name=f"{name}_bias")


def _sum(name: str, wx: Any, uh: Any) -> Any:
    return tf.add(wx, uh, name=f"{name}_sum")


# The names given to operators become those of tensors in the file, and of variables in generated C.


@cell(keras.layers.SimpleRNNCell)
def simple_rnn_cell(one: Any, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
    """`h' = act(W x + b + U h)`."""
    (h,) = states
    bias = tf.convert_to_tensor(one.bias) if one.use_bias else None
    wx = _affine(x, tf.convert_to_tensor(one.kernel), bias, "h_x")
    uh = tf.matmul(h, tf.convert_to_tensor(one.recurrent_kernel), name="h_h")
    h = one.activation(_sum("h", wx, uh))
    return h, [h]


@cell(keras.layers.LSTMCell)
def lstm_cell(one: Any, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
    """`c' = f c + i g`, `h' = o act(c')`; Keras' gate order is i, f, g, o."""
    h, c = states
    kernels, recurrents = _gates(one.kernel, 4), _gates(one.recurrent_kernel, 4)
    i, f, g, o = (
        _sum(gate, _affine(x, w, b, f"{gate}_x"), tf.matmul(h, u, name=f"{gate}_h"))
        for gate, w, u, b in zip("ifgo", kernels, recurrents, _biases(one, 4), strict=True)
    )
    i, f, o = (one.recurrent_activation(gate) for gate in (i, f, o))
    kept = tf.multiply(f, c, name="kept")
    c = kept + tf.multiply(i, one.activation(g), name="added")
    h = o * one.activation(c)
    return h, [h, c]


@cell(keras.layers.GRUCell)
def gru_cell(one: Any, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
    """`h' = h + u (g - h)` with `u = 1 - z`; Keras' gate order is z, r, g.

    `u` is what a long memory hangs on, and 0 is one of its levels; for `z`, 1 is not. Where the
    gate is a sigmoid it comes from the negated weights, for `1 - sigmoid(a) = sigmoid(-a)`.
    """
    (h,) = states
    wz, wr, wg = _gates(one.kernel, 3)
    uz, ur, ug = _gates(one.recurrent_kernel, 3)
    bias = tf.convert_to_tensor(one.bias) if one.use_bias else None
    recurrent_bias = None
    if bias is not None and one.reset_after:
        bias, recurrent_bias = bias[0], bias[1]
        # z and r only ever see the sum of both biases.
        bz, br, bg = _gates(bias, 3)
        cz, cr, recurrent_bias = _gates(recurrent_bias, 3)
        bz, br = bz + cz, br + cr
    else:
        bz, br, bg = _gates(bias, 3) if bias is not None else (None, None, None)
    if one.recurrent_activation is activations.FORMULAS["sigmoid"]:
        bz = None if bz is None else -bz
        u = _sum("u", _affine(x, -wz, bz, "u_x"), tf.matmul(h, -uz, name="u_h"))
        u = one.recurrent_activation(u)
    else:
        z = _sum("z", _affine(x, wz, bz, "z_x"), tf.matmul(h, uz, name="z_h"))
        u = 1.0 - one.recurrent_activation(z)
    r = _sum("r", _affine(x, wr, br, "r_x"), tf.matmul(h, ur, name="r_h"))
    r = one.recurrent_activation(r)
    if one.reset_after:
        recurrent = tf.multiply(r, _affine(h, ug, recurrent_bias, "g_h"), name="g_reset")
    else:
        recurrent = tf.matmul(tf.multiply(r, h, name="h_reset"), ug, name="g_h")
    g = one.activation(_sum("g", _affine(x, wg, bg, "g_x"), recurrent))
    change = tf.multiply(u, tf.subtract(g, h, name="difference"), name="change")
    h = h + change
    return h, [h]
