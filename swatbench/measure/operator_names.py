"""Operators in plain words: aten's names, and those of kernels that compilers put in their place."""

from collections.abc import Sequence
from typing import Any

MATRIX_PRODUCT = "matrix product"
RESHAPE = "reshape or view"
COPY = "copy"
OPTIMIZER = "optimizer"
GRADIENTS = "gradient accumulation"
BETWEEN = "between operators"
FUSED = "fused kernels"

_CONVOLUTIONS: dict[str, tuple[int, int] | None] = {
    "aten::conv1d": (0, 6),
    "aten::conv2d": (0, 6),
    "aten::conv3d": (0, 6),
    "aten::convolution": (0, 8),
    "aten::_convolution": (0, 8),
    "aten::convolution_overrideable": (0, 8),
    "aten::mkldnn_convolution": (0, 6),
    "mkldnn::_convolution_pointwise": (0, 6),
    "aten::cudnn_convolution": (0, 5),
    "aten::convolution_backward": (1, 9),
    "aten::thnn_conv2d": None,
    "aten::conv_transpose1d": None,
    "aten::conv_transpose2d": None,
    "aten::conv_transpose3d": None,
}
"""Convolution → which arguments are its input, before the weight, and the number of its groups."""

_WORDS = {
    MATRIX_PRODUCT: (
        "linear addmm mm bmm baddbmm addbmm matmul einsum mv addmv dot vdot tensordot "
        "_addmm_activation _linear_pointwise _scaled_mm"
    ),
    "attention": (
        "scaled_dot_product_attention _scaled_dot_product_flash_attention "
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_attention_math "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
        "_native_multi_head_attention _transformer_encoder_layer_fwd"
    ),
    "softmax": "softmax _softmax log_softmax _log_softmax",
    "layer norm": "layer_norm native_layer_norm",
    "RMS norm": "rms_norm _fused_rms_norm",
    "group norm": "group_norm native_group_norm",
    "batch norm": (
        "batch_norm _batch_norm_impl_index native_batch_norm cudnn_batch_norm _native_batch_norm_legit"
    ),
    "GELU": "gelu",
    "element-wise": (
        "add sub rsub mul div addcmul addcdiv lerp pow square sqrt rsqrt reciprocal exp expm1 log "
        "log1p neg abs sign sin cos clamp clamp_min clamp_max maximum minimum where masked_fill "
        "relu relu6 leaky_relu elu silu mish sigmoid tanh hardtanh hardswish hardsigmoid softplus "
        "threshold eq ne gt ge lt le logical_and logical_or logical_not"
    ),
    "dropout": "dropout native_dropout feature_dropout bernoulli",
    "reduction": (
        "sum mean var var_mean std amax amin max min argmax argmin norm linalg_vector_norm cumsum prod"
    ),
    "pooling": (
        "avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d "
        "max_pool1d max_pool2d max_pool2d_with_indices adaptive_max_pool2d"
    ),
    "loss": (
        "cross_entropy_loss nll_loss nll_loss_nd nll_loss_forward nll_loss2d mse_loss binary_cross_entropy"
    ),
    OPTIMIZER: "_fused_adamw_ _fused_adam_ _fused_sgd_",
    COPY: "copy contiguous clone to _to_copy",
    RESHAPE: (
        "view reshape _unsafe_view _reshape_alias view_as reshape_as permute transpose t numpy_T "
        "mT movedim moveaxis swapaxes swapdims flatten unflatten squeeze unsqueeze expand "
        "expand_as broadcast_to select slice narrow split split_with_sizes unsafe_split chunk "
        "tensor_split unbind as_strided diagonal unfold detach alias lift_fresh"
    ),
    "allocation or fill": (
        "empty empty_like empty_strided new_empty zeros zeros_like new_zeros zero ones ones_like "
        "new_ones full full_like fill resize arange scalar_tensor"
    ),
}
"""Plain words → operators, without their namespace and the `_` of those that work in place."""

_WORD_OF = {operator: word for word, operators in _WORDS.items() for operator in operators.split()}


def operator_of(name: str, *, arguments: Sequence[Any] | None = (), shapes: Sequence[Any] | None = ()) -> str:
    """An operator in plain words, or its name without the namespace where there are none.

    Args:
        name: As torch.profiler tells it, with its namespace.
        arguments: Values of the arguments that are no tensors, None for each tensor.
        shapes: Shapes of the arguments, empty for what is no tensor. Without them no convolution is known to
            be grouped.

    >>> operator_of("aten::addmm"), operator_of("aten::roll"), operator_of("triton_poi_fused_gelu_3")
    ('matrix product', 'roll', 'fused kernels')
    """
    if name in _CONVOLUTIONS:
        return _convolution(_CONVOLUTIONS[name], arguments or (), shapes or ())
    if name.startswith("triton_"):
        return FUSED
    bare = name.rpartition("::")[2]
    forms = (bare, bare.removesuffix("_"), bare.removesuffix("_data").removesuffix("_backward"))
    return next((_WORD_OF[form] for form in forms if form in _WORD_OF), bare)


def _convolution(places: tuple[int, int] | None, arguments: Sequence[Any], shapes: Sequence[Any]) -> str:
    if places is None or len(arguments) <= places[1]:
        return "convolution"
    groups = arguments[places[1]]
    if not isinstance(groups, int) or groups < 2:
        return "convolution"
    return "depthwise convolution" if groups == _channels(shapes[places[0] :]) else "grouped convolution"


def _channels(shapes: Sequence[Any]) -> int | None:
    """C of the input (..., C, spatial), where the weight (C_out, C / groups, spatial) is known."""
    if len(shapes) < 2 or len(shapes[1]) < 3 or len(shapes[0]) < len(shapes[1]) - 1:
        return None
    return shapes[0][1 - len(shapes[1])]
