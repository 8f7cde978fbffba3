"""Layers that are refused by name, each with what to do instead."""

from converters.registry import REFUSED

_WINDOW = "a stream has no end to look back from; use a causal recurrent layer"
_BEFORE = "do it to the data before it enters the model"
_IMAGES = "it works on images, not on a stream of frames: do it to the data"
_AUGMENT = "it is for training: build the model for deployment without it"
_RECURRENT = "use Dense or TimeDistributed layers before an LSTM"
_VOLUME = "a frame has at most two axes and channels: use Conv2D over (time, frequency)"
_OTHER = "rewrite it with Keras layers"

REFUSED.update(
    {
        "ConvLSTM3D": _RECURRENT,
        "RepeatVector": _WINDOW,
        "Lambda": "make it a layer class and register a rule with @converters.rule",
        "Dot": "use Multiply and Dense",
        "EinsumDense": "use Dense, which works on the last axis",
        "GroupNormalization": "its statistics span the whole sequence; use LayerNormalization",
        "ReversibleEmbedding": "use Embedding, and Dense for the way back",
        "MelSpectrogram": _BEFORE,
        "STFTSpectrogram": _BEFORE,
        **dict.fromkeys(
            [
                "CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup",
                "StringLookup", "TextVectorization",
            ],
            _BEFORE,
        ),
        **dict.fromkeys(
            [
                "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix",
                "Equalization", "MaxNumBoundingBoxes", "MixUp", "RandAugment", "RandomBrightness",
                "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomCrop",
                "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
                "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
                "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness",
                "RandomShear", "RandomTranslation", "RandomZoom", "Solarization",
            ],
            _AUGMENT,
        ),
        **dict.fromkeys(
            ["CenterCrop", "Resizing", "Cropping2D", "UpSampling2D"], _IMAGES
        ),
        **dict.fromkeys(
            [
                "Conv3D", "Conv3DTranspose", "Cropping3D", "UpSampling3D", "ZeroPadding3D",
                "AveragePooling3D", "MaxPooling3D", "GlobalAveragePooling3D", "GlobalMaxPooling3D",
            ],
            _VOLUME,
        ),
        **dict.fromkeys(["Conv1DTranspose", "Conv2DTranspose"], "use UpSampling1D and Conv1D"),
        **dict.fromkeys(
            [
                "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
                "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
            ],
            "its window depends on the length of the sequence; use a pooling of fixed size",
        ),
        **dict.fromkeys(["Pipeline", "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"],
                        _OTHER),
    }
)  # fmt: skip
