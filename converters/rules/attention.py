"""Attention over a bounded window: the newest frame's query, keys and values of the last frames.

Projected keys and values wait in rings, so each frame is projected once. A mask of the scores is a
ring too: frames that have not come yet get no weight, and the first rows equal Keras' as well.

What can stream is attention that looks back: under a causal mask; or without one where nothing but
the newest row is used, or where the query is one row (what an RNN ends with). A window of Keras'
own that looks both ways (`sliding_window` without a causal mask) waits for the frames ahead.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from converters.registry import rule
from converters.rings import aligned, delayed, past, same_time
from converters.rules.indexing import only_last_row_counts
from converters.step import ABSENT, UNMASKED, Signal, Step

Scores = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class _Call:
    """What the layer is called with; query, value and key side by side in time."""

    query: Signal
    value: Signal
    key: Signal
    window: int
    ahead: int


@rule(keras.layers.Attention)
def attention(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Dot-product ("Luong") attention, or scores from a sum ("concat")."""
    call = _call(layer, inputs, step)
    scale = None if layer.scale is None else tf.convert_to_tensor(layer.scale)
    scaled = (lambda x: x) if scale is None else (lambda x: x * scale)
    if layer.score_mode == "dot":
        return _single(call, step, layer, scaled, lambda x: x, _products)
    features = call.key.frames[0].shape[-1]
    weights = tf.fill((features, 1), tf.convert_to_tensor(layer.concat_score_weight))
    return _single(call, step, layer, scaled, scaled, _additive(weights))


@rule(keras.layers.AdditiveAttention)
def additive_attention(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """Scores from a sum ("Bahdanau"): `scale . tanh(q + k)`, a FULLY_CONNECTED behind the TANH."""
    call = _call(layer, inputs, step)
    features = call.key.frames[0].shape[-1]
    weights = tf.ones((features, 1))
    if layer.use_scale:
        weights = tf.reshape(tf.convert_to_tensor(layer.scale), (features, 1))
    return _single(call, step, layer, lambda x: x, lambda x: x, _additive(weights))


@rule(keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
def multi_head_attention(layer: Any, inputs: Sequence[Signal], step: Step) -> Signal:
    """One FULLY_CONNECTED for each projection; heads are the batches of BATCH_MATMUL."""
    if getattr(layer, "_attention_axes", (1,)) not in ((1,), [1]):
        raise step.unsupported("attention over several axes", "attend over the time axis alone")
    call = _call(layer, inputs, step)
    heads, size = layer._key_dense.kernel.shape[1:]  # of keys and values; queries may share them
    factor = 1.0 / math.sqrt(size)
    # A bias of the keys adds the same to all scores of a row: softmax does not see it.
    ask = _projection(layer._query_dense, factor)
    remember = _projection(layer._key_dense, bias=False)
    recall, answer = _projection(layer._value_dense), _output(layer._output_dense)
    gated = getattr(layer, "_use_gate", False) or getattr(layer, "use_gate", False)
    gate = _projection(layer._gate_dense) if gated else None

    def head(x: Any) -> Any:
        return tf.reshape(x, (-1, heads, x.shape[-1] // heads))

    queries = call.query.map(lambda x: _as_heads(ask(_row(x)), heads, size))
    result = _attended(
        replace(call, query=queries),
        step,
        call.key.map(lambda x: head(remember(x))),
        call.value.map(lambda x: head(recall(x))),
        _products,
    )

    def finish(context: Any, query: Any) -> Any:
        joined = tf.reshape(context, (-1, math.prod(context.shape[1:])))
        y = answer(joined if gate is None else joined * tf.sigmoid(gate(_row(query))))
        return tf.reshape(y, (-1, *query.shape[1:-1], *y.shape[1:]))

    step.note(type(layer).__name__, f"BATCH_MATMUL with the last {call.window} frames")
    asked = call.query.frames[-len(result.frames) :]
    frames = tuple(finish(*pair) for pair in zip(result.frames, asked, strict=True))
    return replace(result, frames=frames)


def _single(
    call: _Call,
    step: Step,
    layer: Any,
    ask: Callable[[Any], Any],
    remember: Callable[[Any], Any],
    scores: Scores,
) -> Signal:
    """Attention with one head, whose queries, keys and values are the frames themselves."""

    def head(x: Any) -> Any:
        return tf.reshape(x, (-1, 1, x.shape[-1]))

    queries = call.query.map(lambda x: _as_heads(ask(_row(x)), 1, x.shape[-1]))
    values = call.value.map(head)
    same = call.key is call.value and ask is not remember
    keys = values if same else call.key.map(lambda x: head(remember(x)))
    result = _attended(replace(call, query=queries), step, keys, values, scores)
    shape = call.query.frames[0].shape[1:-1]
    step.note(type(layer).__name__, f"BATCH_MATMUL with the last {call.window} frames")
    return result.map(lambda x: tf.reshape(x, (-1, *shape, x.shape[-1])))


def _attended(call: _Call, step: Step, keys: Signal, values: Signal, scores: Scores) -> Signal:
    """`softmax(scores(q, K)) V` for each query `(1, heads, rows, size)`."""
    n, window = len(keys.frames), call.window
    key_line = past(keys, step, window - 1, name="keys", axis=2)
    value_line = key_line
    if values is not keys:
        value_line = past(values, step, window - 1, name="values", axis=2)
    absent = _absent(keys, step, window)
    queries = (
        call.query.frames if call.query.is_sequence else [*[None] * (n - 1), call.query.frames[0]]
    )
    contexts = []
    for i, query in enumerate(queries):
        if query is None:
            continue
        now = slice(i, i + window)
        found = scores(query, key_line[:, :, now])
        if absent is not None:
            found = found + tf.reshape(absent[:, now], (-1, 1, 1, window))
        contexts.append(tf.matmul(tf.nn.softmax(found), value_line[:, :, now]))
    return replace(call.query, frames=tuple(contexts))


def _products(query: Any, keys: Any) -> Any:
    return tf.matmul(query, keys, transpose_b=True)


def _additive(weights: Any) -> Scores:
    def scores(query: Any, keys: Any) -> Any:
        mixed = tf.tanh(query + keys)
        return tf.reshape(
            tf.matmul(tf.reshape(mixed, (-1, weights.shape[0])), weights),
            (-1, 1, 1, keys.shape[2]),
        )

    return scores


def _absent(signal: Signal, step: Step, window: int) -> Any:
    """What is added to the scores: 0, or `ABSENT` for frames that have not come yet."""
    if window == 1:
        return None
    n = len(signal.frames)
    initial = np.array([[ABSENT] * (window - 1) + [0.0] * n], np.float32)
    name, line = step.state("absent", initial, starts=signal.warmup // n)
    step.carry(name, tf.concat([line[:, n:], *[line[:, -1:]] * n], axis=1))
    return line


def _row(x: Any) -> Any:
    """A query as one row, also where it comes with a time axis of its own."""
    return tf.reshape(x, (-1, x.shape[-1]))


def _as_heads(x: Any, heads: int, size: int) -> Any:
    """A row of queries, those that share a head's keys under each other."""
    return tf.reshape(x, (-1, heads, x.shape[-1] // (heads * size), size))


def _projection(dense: Any, factor: float = 1.0, bias: bool = True) -> Callable[[Any], Any]:
    """An EinsumDense from features to heads, as a matrix product."""
    kernel = tf.convert_to_tensor(dense.kernel)
    matrix = tf.reshape(kernel, (kernel.shape[0], -1)) * factor
    offset = None
    if bias and dense.bias is not None:
        offset = tf.reshape(tf.convert_to_tensor(dense.bias), (-1,)) * factor
    return lambda x: _affine(x, matrix, offset)


def _output(dense: Any) -> Callable[[Any], Any]:
    """The EinsumDense from heads to features."""
    kernel = tf.convert_to_tensor(dense.kernel)
    shape = kernel.shape[2:]
    matrix = tf.reshape(kernel, (kernel.shape[0] * kernel.shape[1], -1))
    offset = None if dense.bias is None else tf.reshape(tf.convert_to_tensor(dense.bias), (-1,))
    return lambda x: tf.reshape(_affine(x, matrix, offset), (-1, *shape))


def _affine(x: Any, matrix: Any, offset: Any) -> Any:
    y = tf.matmul(x, matrix)
    return y if offset is None else tf.nn.bias_add(y, offset)


def _call(layer: Any, inputs: Sequence[Signal], step: Step) -> _Call:
    """Check how the layer is called, and bring its inputs to the same time."""
    given = _arguments(layer, step)
    causal, tensors = bool(given.pop("use_causal_mask", False)), given.pop("inputs", None)
    given.pop("training", None)
    if given.pop("return_attention_scores", False):
        raise step.unsupported(
            "return_attention_scores=True", "build the model for deployment without them"
        )
    if tensors is None:
        tensors = [
            given.pop(name) for name in ("query", "value", "key") if given.get(name) is not None
        ]
    if any(value is not None for value in given.values()):
        names = ", ".join(name for name, value in given.items() if value is not None)
        raise step.unsupported(f"the argument {names}", "use use_causal_mask=True alone")
    query, value = inputs[:2]
    key = inputs[2] if len(inputs) > 2 else value
    if not (value.is_sequence and key.is_sequence):
        raise step.unsupported("attention to a tensor without a time axis", "attend to a sequence")
    if any(len(s.frames[0].shape) != 2 for s in (value, key)):
        raise step.unsupported("attention between frames of several axes", "flatten the frames")
    band = getattr(layer, "_sliding_window", None) or getattr(layer, "sliding_window", None)
    if query.is_sequence and any(s.mask != UNMASKED for s in (query, value, key)):
        # Keras' rows of masked frames are not those before them, which a stream gives again.
        raise step.unsupported(
            "a mask before self-attention", "leave the mask out and feed only real frames"
        )
    _check_query(layer, query, causal, band, step)
    length = tensors[1].shape[1]
    limits = [n for n in (step.window, length, band) if n is not None]
    if not limits:
        raise step.unsupported(
            "attention to a sequence of any length",
            "say how many of the last frames it may see (convert(..., window=N), --window N), or "
            "fix the length in keras.Input",
        )
    window, ahead = min(limits), 0
    if band is not None and not causal:
        window, ahead = 2 * band - 1, band - 1
        step.looks_ahead |= ahead > 0
    if query.is_sequence:
        query, value, key = _together([query, value, key], step)
    else:
        value, key = _together([value, key], step)
        late = max(query.warmup, value.warmup // len(value.frames))
        query = replace(query, warmup=late, latency=max(query.latency, value.latency))
    if window != band and not ahead:  # what Keras sees and this does not: frames before the window
        step.exact_up_to((value.warmup + window) * step.frames // len(value.frames))
    return _Call(delayed(query, step, ahead), value, key, window, ahead)


def _arguments(layer: Any, step: Step) -> dict[str, Any]:
    """The arguments of the layer's call by name."""
    calls = [
        inspect.signature(layer.call).bind(*node.arguments.args, **node.arguments.kwargs).arguments
        for node in layer._inbound_nodes
    ]
    flags = [{k: v for k, v in c.items() if isinstance(v, bool)} for c in calls]
    if any(f != flags[0] for f in flags):
        raise step.unsupported("calls with different options", "make a layer for each call")
    return dict(calls[0])


def _check_query(layer: Any, query: Signal, causal: bool, band: int | None, step: Step) -> None:
    if not query.is_sequence:
        if len(query.frames[0].shape) != 3 or query.frames[0].shape[1] != 1 or causal or band:
            raise step.unsupported(
                "a query that is neither a sequence nor one row", "give it the shape (1, features)"
            )
    elif len(query.frames[0].shape) != 2:
        raise step.unsupported("attention between frames of several axes", "flatten the frames")
    elif not (causal or band or only_last_row_counts(layer)):
        raise step.unsupported(
            "attention to frames that have not come yet",
            "call it with use_causal_mask=True, use the last row alone (y[:, -1]), or give a "
            "MultiHeadAttention a sliding_window",
        )


def _together(signals: Sequence[Signal], step: Step) -> list[Signal]:
    """The signals side by side, each from the first frame of a step on; equal ones stay one."""
    single = list({id(s): s for s in signals}.values())
    ready = [aligned(s, step) for s in same_time(single, step)]
    found = {id(s): r for s, r in zip(single, ready, strict=True)}
    return [found[id(s)] for s in signals]
