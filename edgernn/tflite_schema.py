"""Names and numbers of the TensorFlow Lite schema (tensorflow/lite/schema/schema.fbs).

Data only: enumerations in the schema's order, and for each operator whose options are read, its
option fields in the schema's order as (name, struct code, default).
"""

from typing import Final

TENSOR_TYPES: Final = tuple(
    """
    float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64
    resource variant uint32 uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2
    """.split()
)

ACTIVATIONS: Final = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")

PADDINGS: Final = ("SAME", "VALID")

OPERATORS: Final = tuple(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
    EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
    LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1
    RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
    SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
    BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE
    UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT
    LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG
    PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE
    EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD
    REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV
    REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
    SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE
    RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
    NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
    BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D
    IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
    CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS
    RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE
    RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
    UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD
    STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP
    STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
    STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE
    STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE
    STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT
    STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
    STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
    STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
    STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW
    STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
    """.split()
)

Field = tuple[str, str, int | float | bool]

_ACTIVATION: Final[Field] = ("fused_activation_function", "b", 0)
_POOL: Final[tuple[Field, ...]] = (
    ("padding", "b", 0),
    ("stride_w", "i", 0),
    ("stride_h", "i", 0),
    ("filter_width", "i", 0),
    ("filter_height", "i", 0),
    _ACTIVATION,
)

OPTIONS: Final[dict[str, tuple[Field, ...]]] = {
    "ADD": (_ACTIVATION, ("pot_scale_int16", "?", True)),
    "AVERAGE_POOL_2D": _POOL,
    "BATCH_MATMUL": (("adj_x", "?", False), ("adj_y", "?", False)),
    "CAST": (("in_data_type", "b", 0), ("out_data_type", "b", 0)),
    "CONCATENATION": (("axis", "i", 0), _ACTIVATION),
    "CONV_2D": (
        ("padding", "b", 0),
        ("stride_w", "i", 0),
        ("stride_h", "i", 0),
        _ACTIVATION,
        ("dilation_w_factor", "i", 1),
        ("dilation_h_factor", "i", 1),
    ),
    "DEPTHWISE_CONV_2D": (
        ("padding", "b", 0),
        ("stride_w", "i", 0),
        ("stride_h", "i", 0),
        ("depth_multiplier", "i", 0),
        _ACTIVATION,
        ("dilation_w_factor", "i", 1),
        ("dilation_h_factor", "i", 1),
    ),
    "FULLY_CONNECTED": (
        _ACTIVATION,
        ("weights_format", "b", 0),
        ("keep_num_dims", "?", False),
        ("asymmetric_quantize_inputs", "?", False),
        ("quantized_bias_type", "b", 0),
    ),
    "GATHER": (("axis", "i", 0), ("batch_dims", "i", 0)),
    "LEAKY_RELU": (("alpha", "f", 0.0),),
    "MAX_POOL_2D": _POOL,
    "MEAN": (("keep_dims", "?", False),),
    "MUL": (_ACTIVATION,),
    "PACK": (("values_count", "i", 0), ("axis", "i", 0)),
    "SOFTMAX": (("beta", "f", 0.0),),
    "SPLIT": (("num_splits", "i", 0),),
    "SPLIT_V": (("num_splits", "i", 0),),
    "STRIDED_SLICE": (
        ("begin_mask", "i", 0),
        ("end_mask", "i", 0),
        ("ellipsis_mask", "i", 0),
        ("new_axis_mask", "i", 0),
        ("shrink_axis_mask", "i", 0),
        ("offset", "?", False),
    ),
    "SUB": (_ACTIVATION, ("pot_scale_int16", "?", True)),
    "SUM": (("keep_dims", "?", False),),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        _ACTIVATION,
        ("cell_clip", "f", 0.0),
        ("proj_clip", "f", 0.0),
        ("time_major", "?", False),
        ("asymmetric_quantize_inputs", "?", False),
        ("diagonal_recurrent_tensors", "?", False),
    ),
    "UNPACK": (("num", "i", 0), ("axis", "i", 0)),
}
"""Option fields by operator; an operator that is missing here reads as having no options."""
