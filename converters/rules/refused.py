"""Layers that are refused by name, each with what to do instead."""

from converters.registry import REFUSED

_WINDOW = "a stream has no end to look back from; use a causal recurrent layer"

REFUSED.update(
    {
        "Bidirectional": _WINDOW,
        "ConvLSTM1D": "use Dense or TimeDistributed layers before an LSTM",
        "ConvLSTM2D": "use Dense or TimeDistributed layers before an LSTM",
        "ConvLSTM3D": "use Dense or TimeDistributed layers before an LSTM",
        "Masking": "feed only real frames and call reset() between sequences",
        "RepeatVector": _WINDOW,
        "Permute": "keep the axes as (batch, time, features)",
        "Flatten": "end with return_sequences=False or use TimeDistributed(Flatten())",
        "Reshape": "give each frame its shape before the model",
        "GlobalAveragePooling1D": "use a recurrent layer with return_sequences=False",
        "GlobalMaxPooling1D": "use a recurrent layer with return_sequences=False",
        "Lambda": "make it a layer class and register a rule with @converters.rule",
    }
)
