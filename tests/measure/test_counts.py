"""Counts against arithmetic, against published numbers, and against themselves."""

import warnings

import pytest
import timm
import torch
from timm.layers import set_fused_attn, use_fused_attn
from timm.models.mlp_mixer import MlpMixer
from torch import nn
from torch.nn import functional as F

from swatbench.errors import ModelError
from swatbench.measure.counts import count

CONTROL = {"class_token": False, "global_pool": "avg", "fc_norm": False}
SHAPE = (1, 3, 224, 224)


@pytest.fixture(params=[False, True], ids=["plain", "fused"])
def fused(request):
    before = use_fused_attn()
    set_fused_attn(request.param)
    yield request.param
    set_fused_attn(before)


class Apply(nn.Module):
    """A function of the input (B, C, H, W) and one parameter as a model."""

    def __init__(self, function, weight_shape=(1,)):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(weight_shape))

    def forward(self, x):
        return self.function(x, self.weight)


def deit_macs(tokens, patches, width=192, depth=12):
    block = tokens * width * 12 * width + 2 * tokens**2 * width
    norms = 5 * tokens * width * (2 * depth + 1)
    return patches * 16 * 16 * 3 * width + depth * block + norms + width * 1000


def test_deit_without_class_token(fused):
    found = count(timm.create_model("deit_tiny_patch16_224", **CONTROL), SHAPE)
    assert found.macs == deit_macs(196, 196) == 1_251_267_840
    assert found.params == 5_717_032
    assert found.agree
    attention = "scaled_dot_product_attention" if fused else "matmul"
    assert found.macs_by_operator[attention] == 12 * 2 * 196**2 * 192


@pytest.mark.usefixtures("fused")
def test_deit_with_class_token():
    found = count(timm.create_model("deit_tiny_patch16_224"), SHAPE)
    # The class token is mixed and normed like the 196 others.
    assert found.macs == deit_macs(197, 196) == 1_258_411_200
    assert found.params == 5_717_416
    assert found.agree


def test_mixer_ti():
    found = count(MlpMixer(patch_size=16, num_blocks=8, embed_dim=256), SHAPE)
    tokens, width = 196, 256
    block = tokens * width * 8 * width + 2 * tokens * width * (width // 2)
    norms = 5 * tokens * width * 17
    assert found.macs == tokens * 768 * width + 8 * block + norms + width * 1000 == 967_900_160
    assert found.params == 5_071_112
    assert found.agree


@pytest.mark.usefixtures("fused")
def test_swin_t():
    found = count(timm.create_model("swin_tiny_patch4_window7_224"), SHAPE)
    assert (found.params, found.macs) == (28_288_354, 4_509_194_496)
    assert found.agree


def test_operators_are_sorted_and_add_up():
    found = count(timm.create_model("resnet18"), SHAPE)
    macs = list(found.macs_by_operator.values())
    assert macs == sorted(macs, reverse=True)
    assert sum(macs) == found.macs
    # Batch norm (2 an element) and pooling (1 an element) are what torch's counter leaves out.
    assert found.macs - found.macs_torch == sum(
        found.macs_by_operator[name] for name in ("batch_norm", "adaptive_avg_pool2d")
    )


def test_counts_are_those_of_one_image():
    model = timm.create_model("deit_tiny_patch16_224", depth=1, num_classes=10)
    assert count(model, (4, 3, 224, 224)) == count(model, SHAPE)


def test_attention_with_other_lengths_and_widths():
    query, key, value = torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 7, 8), torch.zeros(1, 2, 7, 3)

    def attend(x, weight):
        hot = x.sum() * weight
        return F.scaled_dot_product_attention(query.to(x) + hot, key.to(x), value.to(x))

    found = count(Apply(attend), (1, 1, 1, 1))
    assert found.macs_by_operator["scaled_dot_product_attention"] == 2 * 5 * 7 * (8 + 3)
    assert found.agree


@pytest.mark.parametrize(
    ("function", "weight_shape", "macs"),
    [
        # A matrix broadcast over 2 maps of 4 × 5: fvcore's own handle would leave the 2 out.
        (lambda x, w: w @ x, (3, 4), 2 * 3 * 4 * 5),
        (lambda x, w: x @ w, (5, 7), 2 * 4 * 5 * 7),
        (lambda x, w: torch.bmm(x[0], w), (2, 5, 6), 2 * 4 * 5 * 6),
        (lambda x, w: torch.mm(x[0, 0], w), (5, 6), 4 * 5 * 6),
        (lambda x, w: torch.einsum("bchw,wk->bchk", x, w), (5, 6), 2 * 4 * 5 * 6),
        # fvcore rounds the count of a long contraction to four digits.
        (lambda x, w: torch.einsum("bchw,khw->bck", x, w), (100_003, 4, 5), 2 * 4 * 5 * 100_003),
        (lambda x, w: torch.einsum("bchw,c->bchw", x, w), (2,), 0),
        (F.linear, (6, 5), 2 * 4 * 5 * 6),
        (lambda x, w: F.conv2d(x, w, padding=1, groups=2), (2, 1, 3, 3), 2 * 4 * 5 * 9),
        (lambda x, w: F.pixel_unshuffle(F.gelu(x[..., :4] * w), 2).softmax(-1), (1,), 0),
    ],
)
def test_products_by_hand(function, weight_shape, macs):
    found = count(Apply(function, weight_shape), (1, 2, 4, 5))
    assert found.macs == found.macs_matmul == found.macs_torch == macs


def test_work_that_does_not_depend_on_the_batch_is_spread_over_it():
    def folded(x, weight):
        basis = torch.eye(4, device=x.device).reshape(4, 1, 2, 2)
        matrix = F.conv2d(basis, weight, padding=1).reshape(4, 4)
        return x.flatten(1) @ matrix.T

    model = Apply(folded, (1, 1, 3, 3))
    folding, product = 4 * 4 * 9, 4 * 4
    assert count(model, (1, 1, 2, 2)).macs == folding + product
    assert count(model, (2, 1, 2, 2)).macs == folding // 2 + product
    with pytest.raises(ValueError, match=r"144 MACs.*batch of 5"):
        count(model, (5, 1, 2, 2))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):  # noqa: ARG004
        return 2 * x

    @staticmethod
    def backward(ctx, grad):  # noqa: ARG004
        return 2 * grad


@torch.library.custom_op("swatbench_test::gram", mutates_args=())
def gram(x: torch.Tensor) -> torch.Tensor:
    return x @ x.mT


def encoder_layer(x, weight):
    width = weight.shape[-1]
    matrix, vector = weight, weight[0]
    return torch._transformer_encoder_layer_fwd(
        x[0],
        width,
        1,
        torch.cat([matrix] * 3),
        torch.cat([vector] * 3),
        matrix,
        vector,
        False,
        False,
        1e-5,
        vector,
        vector,
        vector,
        vector,
        matrix,
        vector,
        matrix,
        vector,
    )


@pytest.mark.parametrize(
    ("function", "weight_shape", "name"),
    [
        (lambda x, w: Doubled.apply(x * w), (1,), r"prim::PythonOp\.Doubled"),
        (lambda x, w: gram(x * w), (1,), "swatbench_test::gram"),
        (encoder_layer, (4, 4), "aten::_transformer_encoder_layer_fwd"),
        (lambda x, w: torch.baddbmm(w, x[0], x[0]), (1,), "aten::baddbmm"),
        (lambda x, w: torch.mv(x[0, 0], w), (4,), "aten::mv"),
        (lambda x, w: torch.einsum("...w,wk->...k", x, w), (4, 6), "einsum"),
    ],
)
def test_what_no_counter_knows_is_an_error(function, weight_shape, name):
    with pytest.raises(ModelError, match=name):
        count(Apply(function, weight_shape), (1, 2, 4, 4))


def test_frozen_transformer_layers_are_counted_whole():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).requires_grad_(False)
    model = nn.Sequential(nn.Flatten(2), layer)
    found = count(model, (1, 5, 2, 4))
    assert found.macs_matmul == 5 * 8 * (3 * 8 + 8 + 2 * 16) + 2 * 5 * 5 * 8
    assert found.agree


class Watched(nn.Module):
    """Counts its own calls."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.norm(x)


def test_the_model_itself_is_left_alone():
    model = Watched().requires_grad_(False).bfloat16()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count(model, (1, 3, 4, 4))
    assert model.calls == 0
    assert model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model._forward_hooks
    assert not model.norm._forward_pre_hooks
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


def test_a_model_that_cannot_run_on_meta_says_so():
    with pytest.raises(ModelError, match="meta device"):
        count(Apply(lambda x, w: x * w.sum().item()), (1, 1, 3, 3))


def test_other_warnings_are_not_hidden():
    def warn(x, weight):
        warnings.warn("something else ends", FutureWarning, stacklevel=1)
        return x * weight

    with pytest.warns(FutureWarning, match="something else"):
        count(Apply(warn), (1, 1, 2, 2))
