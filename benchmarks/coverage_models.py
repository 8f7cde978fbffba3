"""The models of benchmarks/coverage.py: what Keras users write around recurrence, small.

`CASES` is these rows.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from benchmarks.coverage_rows import (
    CASES,
    FEATURES,
    STEPS,
    TOKENS,
    UNITS,
    both,
    case,
    dense,
    graph,
    last,
    of,
    rnn,
    stack,
)

__all__ = ["CASES"]

L = keras.layers


# Recurrent layers and their options.
for kind in ("LSTM", "GRU", "SimpleRNN"):
    group = "recurrent"
    case(group, kind, stack(rnn(kind)))
    case(group, f"{kind}, last frame, softmax", stack(last(kind), dense(activation="softmax")))
    case(group, f"{kind}, no bias", stack(rnn(kind, use_bias=False)))
    case(group, f"{kind}, two layers", stack(rnn(kind), last(kind), dense()))
    case(group, f"{kind}, unroll", stack(rnn(kind, unroll=True), steps=STEPS))
    case(group, f"{kind}, dropout", stack(rnn(kind, dropout=0.2, recurrent_dropout=0.2)))
    case(group, f"{kind}, stateful", stack(rnn(kind, stateful=True), batch_size=1))
case("recurrent", "GRU, reset before", stack(rnn("GRU", reset_after=False)))
case("recurrent", "LSTM, no unit forget bias", stack(rnn("LSTM", unit_forget_bias=False)))
case("recurrent", "stacked cells", stack(lambda: L.RNN([L.LSTMCell(4), L.GRUCell(5)])))
case("recurrent", "fixed length", stack(rnn("GRU"), dense(), steps=STEPS))

# Activations, in the recurrence and behind it.
for name in ("hard_sigmoid", "softsign", "tanh"):  # others let the state grow without bounds
    case("activation", f"LSTM, {name} gates", stack(rnn("LSTM", recurrent_activation=name)))
for name in ("softsign", "hard_tanh", "softplus", "celu"):
    case("activation", f"LSTM, {name}", stack(rnn("LSTM", activation=name)))
for name in ("relu", "softsign", "elu", "selu", "gelu", "silu", "mish", "hard_tanh", "hard_silu"):
    case("activation", f"GRU, {name}", stack(rnn("GRU", activation=name)))
for name in ("elu", "gelu", "softplus", "exponential", "mish", "log_sigmoid", "selu", "relu6"):
    case("activation", f"Dense, {name}", stack(rnn("GRU"), dense(activation=name)))
case("activation", "PReLU", stack(rnn("GRU"), of("PReLU", shared_axes=[1])))
case("activation", "ELU layer", stack(rnn("GRU"), of("ELU", 0.7)))

# Layers on each frame.
case("per frame", "TimeDistributed", stack(rnn("GRU"), lambda: L.TimeDistributed(L.Dense(3))))
case("per frame", "BatchNormalization", stack(L.BatchNormalization, rnn("LSTM")))
case("per frame", "LayerNormalization", stack(rnn("LSTM"), L.LayerNormalization, dense()))
case("per frame", "Rescaling", stack(of("Rescaling", 0.5, offset=-0.1), rnn("GRU")))
case(
    "per frame",
    "noise and dropout",
    stack(of("GaussianNoise", 0.1), rnn("GRU"), of("Dropout", 0.3)),
)

# Convolutions and pooling over time.
for padding in ("causal", "valid", "same"):
    conv = of("Conv1D", 4, 3, padding=padding, activation="relu")
    case("convolution", f"Conv1D {padding} + GRU", stack(conv, rnn("GRU")))
    dilated = of("Conv1D", 4, 3, padding=padding, dilation_rate=2)
    case("convolution", f"Conv1D {padding}, dilated", stack(dilated, rnn("LSTM")))
case(
    "convolution",
    "Conv1D stride 2 + pool 2 + GRU",
    stack(of("Conv1D", 4, 3, strides=2), of("MaxPooling1D", 2), rnn("GRU"), dense()),
)
case(
    "convolution",
    "Conv1D causal, stride 2",
    stack(of("Conv1D", 4, 3, strides=2, padding="causal"), rnn("GRU")),
)
case(
    "convolution",
    "Conv1D grouped",
    stack(of("Conv1D", 4, 3, groups=2), rnn("GRU"), shape=(None, 4)),
)
case(
    "convolution",
    "two Conv1D same",
    stack(*[of("Conv1D", 4, 3, padding="same", activation="relu")] * 2, rnn("GRU")),
)
case("convolution", "DepthwiseConv1D", stack(of("DepthwiseConv1D", 3), rnn("GRU")))
case(
    "convolution",
    "SeparableConv1D",
    stack(of("SeparableConv1D", 4, 3, padding="same"), rnn("GRU")),
)
case(
    "convolution",
    "Conv1D residual",
    graph(
        lambda x: L.GRU(4, return_sequences=True)(
            L.Add()([L.Conv1D(FEATURES, 3, padding="same")(x), x])
        )
    ),
)
case(
    "convolution",
    "dilated stack (TCN)",
    stack(
        *[
            of("Conv1D", 4, 2, padding="causal", dilation_rate=d, activation="relu")
            for d in (1, 2, 4)
        ],
        dense(),
    ),
)
case(
    "convolution",
    "Conv2D over time and frequency + GRU",
    stack(
        of("Conv2D", 3, (3, 3), padding="same", activation="relu"),
        lambda: L.TimeDistributed(L.Flatten()),
        rnn("GRU"),
        shape=(None, 8, 1),
    ),
)
case(
    "convolution",
    "DepthwiseConv2D + GRU",
    stack(
        of("DepthwiseConv2D", (3, 3)),
        lambda: L.TimeDistributed(L.Flatten()),
        rnn("GRU"),
        shape=(None, 8, 2),
    ),
)
case(
    "convolution",
    "ConvLSTM1D",
    stack(of("ConvLSTM1D", 3, 3, padding="same"), L.Flatten, dense(), shape=(None, 8, 2)),
)
case("pooling", "MaxPooling1D", stack(of("MaxPooling1D", 2), rnn("GRU")))
case("pooling", "AveragePooling1D", stack(of("AveragePooling1D", 2), rnn("GRU")))
case(
    "pooling",
    "AveragePooling1D, overlapping",
    stack(of("AveragePooling1D", 3, strides=1), rnn("GRU")),
)
case("pooling", "GlobalMaxPooling1D, running", stack(rnn("GRU"), L.GlobalMaxPooling1D, dense()))
case(
    "pooling",
    "GlobalAveragePooling1D, running",
    stack(rnn("GRU"), L.GlobalAveragePooling1D, dense()),
)
case(
    "pooling",
    "GlobalAveragePooling1D, window",
    stack(rnn("GRU"), L.GlobalAveragePooling1D, dense(), steps=STEPS),
)
case(
    "pooling",
    "GlobalMaxPooling1D, window",
    stack(rnn("GRU"), L.GlobalMaxPooling1D, dense(), steps=STEPS),
)
case("pooling", "Flatten over a window", stack(rnn("GRU"), L.Flatten, dense(), steps=STEPS))
case("resampling", "UpSampling1D", stack(rnn("GRU"), of("UpSampling1D", 2)))
case("resampling", "ZeroPadding1D", stack(of("ZeroPadding1D", (2, 0)), rnn("GRU")))
case("resampling", "Cropping1D", stack(of("Cropping1D", (2, 1)), rnn("GRU")))

# Attention.
case(
    "attention",
    "MultiHeadAttention, causal",
    graph(
        lambda x: L.Dense(3)(L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)),
        (STEPS, FEATURES),
    ),
)
case(
    "attention",
    "Attention, causal",
    graph(lambda x: L.Dense(3)(L.Attention()([x, x], use_causal_mask=True)), (STEPS, FEATURES)),
)
case(
    "attention",
    "AdditiveAttention, causal",
    graph(
        lambda x: L.Dense(3)(L.AdditiveAttention()([x, x], use_causal_mask=True)), (STEPS, FEATURES)
    ),
)


def transformer(x: Any) -> Any:
    """A small causal transformer block behind a GRU."""
    x = L.GRU(8, return_sequences=True)(x)
    y = L.LayerNormalization()(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)])
    y = L.Dense(8)(L.Dense(16, activation="relu")(L.LayerNormalization()(x)))
    return L.Dense(3)(L.Add()([x, y]))


case("attention", "transformer block", graph(transformer, (STEPS, FEATURES)))

# Bidirectional and backwards.
for kind in ("LSTM", "GRU", "SimpleRNN"):
    case(
        "bidirectional",
        f"Bidirectional {kind}, window",
        stack(both(last(kind)), dense(), steps=STEPS),
    )
for mode in ("sum", "mul", "ave"):
    case(
        "bidirectional",
        f"Bidirectional GRU, {mode}",
        stack(both(last("GRU"), merge_mode=mode), dense(), steps=STEPS),
    )
case("bidirectional", "Bidirectional, every frame", stack(both(rnn("LSTM")), dense(), steps=STEPS))
case(
    "bidirectional",
    "Bidirectional, two layers",
    stack(both(rnn("LSTM")), both(last("LSTM")), dense(), steps=STEPS),
)
case(
    "bidirectional",
    "Bidirectional, pooled",
    stack(both(rnn("LSTM")), L.GlobalMaxPooling1D, dense(), steps=STEPS),
)
case(
    "bidirectional",
    "Bidirectional, look-ahead",
    stack(both(last("GRU")), dense()),
    lookahead=STEPS,
)
case("bidirectional", "go_backwards", stack(last("GRU", go_backwards=True), dense(), steps=STEPS))
case(
    "bidirectional",
    "Bidirectional, endless",
    stack(both(last("GRU"))),
    refused="look-?ahead|window",
)

# Masks and tokens.
case("mask", "Masking + LSTM", stack(of("Masking", 0.0), rnn("LSTM"), dense()))
case("mask", "Masking + two GRU", stack(of("Masking", -1.0), rnn("GRU"), last("GRU"), dense()))
tokens = {"shape": (None,), "dtype": "int32"}
embed = of("Embedding", TOKENS, 8)
case("tokens", "Embedding + LSTM", stack(embed, last("LSTM"), dense(), **tokens))
case("tokens", "Embedding + GRU, every token", stack(embed, rnn("GRU"), dense(TOKENS), **tokens))
case(
    "tokens",
    "Embedding, mask_zero",
    stack(of("Embedding", TOKENS, 8, mask_zero=True), last("LSTM"), dense(), **tokens),
)
case(
    "tokens",
    "Embedding + Conv1D + GRU",
    stack(embed, of("Conv1D", 6, 3, padding="causal"), last("GRU"), dense(), **tokens),
)

# Graphs of layers.
case(
    "graph",
    "two inputs",
    graph(
        lambda a, b: L.Dense(2)(L.GRU(4)(L.Concatenate()([a, b]))),
        (None, 3),
        (None, 2),
        names=["audio", "imu"],
    ),
)
case(
    "graph",
    "sequence and static input",
    graph(
        lambda a, b: L.Dense(2)(L.Concatenate()([L.GRU(4)(a), b])),
        (None, 3),
        (2,),
        names=["frames", "context"],
    ),
)
case(
    "graph",
    "two outputs",
    graph(lambda x: [L.Dense(2, name="a")(h := L.GRU(4)(x)), L.Dense(3, name="b")(h)]),
)
case(
    "graph",
    "three branches",
    graph(
        lambda x: L.Dense(2)(
            L.Concatenate()(
                [L.GRU(3, return_sequences=True)(x), L.LSTM(3, return_sequences=True)(x), x]
            )
        )
    ),
)


def shared(x: Any) -> Any:
    """One layer called twice."""
    layer = L.GRU(FEATURES, return_sequences=True)
    return layer(layer(x))


def with_states(x: Any) -> Any:
    """A layer's last states as features."""
    y, h, c = L.LSTM(4, return_state=True)(x)
    return L.Concatenate()([y, h, c])


case("graph", "shared layer", graph(shared))
case("graph", "return_state", graph(with_states))
case("graph", "residual", graph(lambda x: L.Add()([x, L.GRU(FEATURES, return_sequences=True)(x)])))
case(
    "graph",
    "nested",
    stack(
        lambda: keras.Sequential(
            [keras.Input((None, FEATURES)), L.GRU(4, return_sequences=True), L.Dense(4)]
        ),
        last("LSTM"),
        dense(),
    ),
)
case(
    "graph",
    "arithmetic on tensors",
    graph(lambda x: L.GRU(4, return_sequences=True)(x * 0.5 + 1.0) - 0.25),
)
case(
    "graph",
    "last frame by slicing",
    graph(lambda x: L.Dense(2)(L.GRU(4, return_sequences=True)(x)[:, -1, :])),
)


@keras.saving.register_keras_serializable("coverage")
class Gated(L.Layer):
    """A cell of a user's own: a minimal gated unit."""

    def __init__(self, units: int = UNITS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, shape: Any) -> None:
        """Two layers that read the frame and the state."""
        self.gate = L.Dense(self.units, activation="sigmoid")
        self.candidate = L.Dense(self.units, activation="tanh")
        for layer in (self.gate, self.candidate):
            layer.build((None, shape[-1] + self.units))

    def call(self, x: Any, states: Any) -> Any:
        """`h' = (1 - f) h + f g`."""
        (h,) = states
        f = self.gate(ops.concatenate([x, h], -1))
        g = self.candidate(ops.concatenate([x, f * h], -1))
        h = (1.0 - f) * h + f * g
        return h, [h]


class Subclassed(keras.Model):
    """A model as a class."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.head = L.GRU(4), L.Dense(2)

    def call(self, x: Any) -> Any:
        """The last state, read out."""
        return self.head(self.recurrent(x))


def subclassed() -> Any:
    """A built subclassed model."""
    model = Subclassed()
    model.build((None, None, FEATURES))
    return model


case("graph", "cell of one's own", stack(of("RNN", Gated(), return_sequences=True)))
case("graph", "subclassed model", subclassed)


# What no step can say.
case(
    "refused",
    "softmax over time",
    stack(rnn("GRU"), of("Softmax", axis=1), steps=STEPS),
    refused="axis|time",
)
case(
    "refused",
    "LayerNormalization over time",
    stack(of("LayerNormalization", axis=1), rnn("GRU"), steps=STEPS),
    refused="axis",
)
case("refused", "Lambda", stack(of("Lambda", ops.sin), rnn("GRU")), refused="Lambda")
case("refused", "no time axis", stack(dense(), shape=(FEATURES,)), refused="time")
case("refused", "batch of 32", stack(rnn("GRU"), batch_size=32), refused="batch")
