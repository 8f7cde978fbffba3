"""Models with attention, for every test that goes through all models."""

import keras

L = keras.layers
FEATURES = 5
LENGTH = 20


def attending(build, length=LENGTH):
    """A model whose output is `build` of its input sequence."""

    def make():
        x = keras.Input((length, FEATURES))
        return keras.Model(x, build(x))

    return make


def heads(count=2, size=4, **options):
    """Causal self-attention."""
    return lambda x: L.MultiHeadAttention(count, size, **options)(x, x, use_causal_mask=True)


def last_state(x):
    """What a GRU ends with asks about all of its frames."""
    frames, state = L.GRU(6, return_sequences=True, return_state=True)(x)
    return L.Flatten()(L.Attention(use_scale=True)([L.Reshape((1, 6))(state), frames]))


def block(x):
    """A transformer block: normalization before, residuals around."""
    x = L.Dense(8)(x)
    x = L.Add()([x, heads()(L.LayerNormalization()(x))])
    feed_forward = L.Dense(12, activation="relu")(L.LayerNormalization()(x))
    return L.Dense(3)(L.Add()([x, L.Dense(8)(feed_forward)]))


ATTENTION_MODELS = {
    "heads": attending(heads(dropout=0.1)),
    "heads_shaped": attending(heads(value_dim=3, output_shape=7, use_bias=False)),
    "heads_gated": attending(lambda x: L.Dense(3)(heads(use_gate=True)(x))),
    "heads_band": attending(
        lambda x: L.MultiHeadAttention(2, 4, sliding_window=4)(x, x), length=None
    ),
    "heads_causal_band": attending(heads(sliding_window=4), length=None),
    "heads_grouped": attending(
        lambda x: L.GroupQueryAttention(3, 4, 2)(x, x, use_causal_mask=True)
    ),
    "heads_rate": attending(
        lambda x: L.MaxPooling1D(2)(heads()(L.Conv1D(4, 3, activation="relu")(x))), length=23
    ),
    "heads_pooled": attending(lambda x: L.GlobalAveragePooling1D()(heads()(x))),
    "attention": attending(lambda x: L.Attention(use_scale=True)([x, x], use_causal_mask=True)),
    "attention_key": attending(
        lambda x: L.Attention()([x, L.Dense(3)(x), L.Dense(FEATURES)(x)], use_causal_mask=True)
    ),
    "attention_concat": attending(
        lambda x: L.Attention(score_mode="concat", use_scale=True)([x, x], use_causal_mask=True)
    ),
    "attention_additive": attending(lambda x: L.AdditiveAttention()([x, x], use_causal_mask=True)),
    "attention_last_row": attending(lambda x: L.Dense(2)(x + L.Attention()([x, x]))[:, -1]),
    "attention_last_state": attending(last_state),
    "transformer_block": attending(block),
}
