"""Models with layers that mix frames, for every test that goes through all models."""

import keras

L = keras.layers
FEATURES = 5


def sequential(*layers, length=None):
    return lambda: keras.Sequential([keras.Input((length, FEATURES)), *[make() for make in layers]])


def gru(**options):
    return lambda: L.GRU(4, **{"return_sequences": True, **options})


def conv(size=3, filters=6, **options):
    return lambda: L.Conv1D(filters, size, **options)


def residual():
    """Branches of different look-ahead, joined twice."""
    x = keras.Input((None, FEATURES))
    y = L.Add()([x, L.Conv1D(FEATURES, 3, padding="same", activation="tanh")(x)])
    y = L.Concatenate()([y, L.Conv1D(4, 5, padding="same")(y)])
    return keras.Model(x, L.GRU(4, return_sequences=True)(y))


# A frame of 5 features as an image of (frequency, channels), and back to one row of features.
IMAGE = (lambda: L.Dense(14), lambda: L.TimeDistributed(L.Reshape((7, 2))))
ROWS = (lambda: L.TimeDistributed(L.Flatten()), gru())

TIME_MODELS = {
    "conv_causal": sequential(conv(padding="causal", activation="relu"), gru()),
    "conv_valid": sequential(conv(), gru()),
    "conv_same": sequential(
        lambda: L.Dense(4), conv(4, padding="same"), conv(padding="same"), gru()
    ),
    "conv_dilated": sequential(
        conv(dilation_rate=2), conv(dilation_rate=4, padding="causal"), gru(return_sequences=False)
    ),
    "conv_strided_pool": sequential(
        conv(strides=2, activation="relu"), lambda: L.MaxPooling1D(2), gru()
    ),
    "conv_strided_same": sequential(
        conv(strides=2, padding="same"), lambda: L.MaxPooling1D(2, padding="same"), gru()
    ),
    "conv_strided_causal": sequential(conv(strides=2, padding="causal"), gru(), lambda: L.Dense(2)),
    "conv_strided_last": sequential(conv(strides=2), gru(return_sequences=False)),
    "conv_rate_kept": sequential(gru(), conv(strides=3, size=2), conv(size=2)),
    "conv_grouped": sequential(
        lambda: L.Dense(6), conv(groups=2), conv(groups=6, filters=12), gru()
    ),
    "depthwise": sequential(
        lambda: L.DepthwiseConv1D(3, depth_multiplier=2, padding="same", use_bias=False), gru()
    ),
    "separable": sequential(lambda: L.SeparableConv1D(6, 3, activation="relu"), gru()),
    "max_pool_same": sequential(lambda: L.MaxPooling1D(3, strides=1, padding="same"), gru()),
    "average_pool": sequential(conv(2), lambda: L.AveragePooling1D(3), gru()),
    "average_pool_same": sequential(
        lambda: L.Dense(4), lambda: L.AveragePooling1D(5, strides=2, padding="same"), gru()
    ),
    "global_max": sequential(conv(2), L.GlobalMaxPooling1D, lambda: L.Dense(2)),
    "global_max_window": sequential(
        conv(strides=2), lambda: L.GlobalMaxPooling1D(keepdims=True), lambda: L.Dense(2), length=23
    ),
    "global_average_window": sequential(
        gru(), L.GlobalAveragePooling1D, lambda: L.Dense(2), length=20
    ),
    "residual": residual,
    "up_sampling": sequential(gru(), lambda: L.UpSampling1D(2), conv(), lambda: L.UpSampling1D(3)),
    "up_and_down": sequential(lambda: L.MaxPooling1D(2), conv(), lambda: L.UpSampling1D(2), gru()),
    "zero_padding_conv": sequential(
        gru(), lambda: L.ZeroPadding1D((2, 0)), conv(), lambda: L.ZeroPadding1D(4), conv(), gru()
    ),
    "zero_padding": sequential(conv(), lambda: L.ZeroPadding1D((2, 1)), gru(), lambda: L.Dense(4)),
    "cropping": sequential(conv(2), lambda: L.Cropping1D((3, 1)), gru(return_sequences=False)),
    "one_window": sequential(
        conv(strides=2), lambda: L.AveragePooling1D(9), L.Flatten, lambda: L.Dense(3), length=20
    ),
    "one_image": sequential(
        *IMAGE, lambda: L.MaxPooling2D((8, 3)), L.Flatten, lambda: L.Dense(3), length=10
    ),
    "many_frames": sequential(lambda: L.Dense(3), lambda: L.MaxPooling1D(12), gru()),
    "flatten": sequential(gru(), L.Flatten, lambda: L.Dense(3), length=12),
    "flatten_strided": sequential(conv(strides=2), gru(), L.Flatten, lambda: L.Dense(3), length=12),
    "frame_stacking": sequential(lambda: L.Reshape((-1, 15)), gru()),
    "reshape_window": sequential(gru(), lambda: L.Reshape((6, 8)), gru(), length=12),
    "conv2d": sequential(*IMAGE, lambda: L.Conv2D(3, 3, padding="same", strides=(1, 2)), *ROWS),
    "conv2d_valid": sequential(
        *IMAGE, lambda: L.Conv2D(3, (2, 3), strides=(2, 1), activation="relu"), *ROWS
    ),
    "conv2d_causal": sequential(
        *IMAGE,
        lambda: L.ZeroPadding2D(((2, 0), (0, 0))),
        lambda: L.Conv2D(3, 3, strides=(1, 2), activation="relu"),
        lambda: L.ZeroPadding2D(((1, 0), (0, 0))),
        lambda: L.Conv2D(4, (2, 2), strides=(2, 1)),
        *ROWS,
    ),
    "conv2d_dilated": sequential(*IMAGE, lambda: L.Conv2D(3, 2, dilation_rate=(2, 3)), *ROWS),
    "depthwise2d": sequential(
        *IMAGE,
        lambda: L.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        lambda: L.MaxPooling2D((2, 3), padding="same"),
        *ROWS,
    ),
    "separable2d": sequential(*IMAGE, lambda: L.SeparableConv2D(3, 3, padding="same"), *ROWS),
    "average_pool2d": sequential(*IMAGE, lambda: L.AveragePooling2D((1, 3)), *ROWS),
    "global_average2d": sequential(
        *IMAGE, lambda: L.GlobalAveragePooling2D(keepdims=True), L.Flatten, length=9
    ),
    "permute": sequential(*IMAGE, lambda: L.Permute((1, 3, 2)), *ROWS),
    "frame_cnn": sequential(
        *IMAGE,
        lambda: L.TimeDistributed(L.Conv1D(3, 2, activation="relu")),
        lambda: L.TimeDistributed(L.MaxPooling1D(2)),
        *ROWS,
    ),
}
