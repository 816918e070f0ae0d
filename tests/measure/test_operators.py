"""What single operators cost, and which are refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from swatbench.errors import ModelError
from swatbench.measure.condition import Condition
from swatbench.measure.counts import _quiet_tracer, count

SIZE = (2, 4, 5)


class Apply(nn.Module):
    """A function of the input (B, C, H, W) and one parameter as a model."""

    def __init__(self, function, weight_shape=(1,)):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(weight_shape))

    def forward(self, x):
        return self.function(x, self.weight)


def counted(function, weight_shape=(1,), input_size=SIZE):
    condition = Condition(batch_size=1, input_size=input_size, num_classes=1, device="cpu", precision="fp32")
    return count(lambda: Apply(function, weight_shape), condition, training=False)


@pytest.mark.parametrize(
    ("function", "weight_shape", "macs", "activations"),
    [
        # A matrix broadcast over 2 maps of 4 × 5: fvcore's own handle would leave the 2 out.
        (lambda x, w: w @ x, (3, 4), 2 * 3 * 4 * 5, 2 * 3 * 5),
        (lambda x, w: x @ w, (5, 7), 2 * 4 * 5 * 7, 2 * 4 * 7),
        (lambda x, w: torch.bmm(x[0], w), (2, 5, 6), 2 * 4 * 5 * 6, 2 * 4 * 6),
        (lambda x, w: torch.mm(x[0, 0], w), (5, 6), 4 * 5 * 6, 4 * 6),
        (lambda x, w: torch.addmm(w[0], x[0, 0], w), (5, 6), 4 * 5 * 6, 4 * 6),
        (lambda x, w: torch.einsum("bchw,wk->bchk", x, w), (5, 6), 2 * 4 * 5 * 6, 2 * 4 * 6),
        # fvcore rounds the count of a long contraction to four digits.
        (
            lambda x, w: torch.einsum("bchw,khw->bck", x, w),
            (100_003, 4, 5),
            2 * 4 * 5 * 100_003,
            2 * 100_003,
        ),
        (lambda x, w: torch.einsum("bchw,c->bchw", x, w), (2,), 0, 2 * 4 * 5),
        (F.linear, (6, 5), 2 * 4 * 5 * 6, 2 * 4 * 6),
        (lambda x, w: F.conv2d(x, w, padding=1, groups=2), (2, 1, 3, 3), 2 * 4 * 5 * 9, 2 * 4 * 5),
        (lambda x, w: F.conv2d(x, w, padding="same"), (3, 2, 3, 5), 3 * 4 * 5 * 2 * 15, 3 * 4 * 5),
        (lambda x, w: F.conv_transpose2d(x, w, stride=2), (2, 3, 2, 2), 2 * 4 * 5 * 3 * 4, 3 * 8 * 10),
        (lambda x, w: F.pixel_unshuffle(F.gelu(x[..., :4] * w), 2).softmax(-1), (1,), 0, 0),
    ],
)
def test_products_by_hand(function, weight_shape, macs, activations):
    found = counted(function, weight_shape)
    assert found.macs == found.macs_matmul == found.macs_torch == macs
    assert found.activations == activations
    assert found.agree


def bicubic(x, size):
    return F.interpolate(x, size, mode="bicubic", antialias=True)


@pytest.mark.parametrize(
    ("function", "operator", "macs"),
    [
        (lambda x, w: F.layer_norm(x, (5,), w.expand(5), w.expand(5)), "layer_norm", 5 * 40),
        (lambda x, w: F.layer_norm(x * w, (5,)), "layer_norm", 4 * 40),
        (lambda x, w: F.rms_norm(x, (5,), w.expand(5)), "rms_norm", 5 * 40),
        (lambda x, w: F.group_norm(x * w, 2), "group_norm", 4 * 40),
        (lambda x, w: F.adaptive_avg_pool2d(x * w, 1), "adaptive_avg_pool2d", 40),
        (lambda x, w: F.interpolate(x * w, (8, 5), mode="nearest"), "upsample_nearest2d", 80),
        (lambda x, w: F.interpolate(x * w, (8, 5), mode="bilinear"), "upsample_bilinear2d", 4 * 80),
        (lambda x, w: F.interpolate(x * w, (8, 5), mode="bicubic"), "upsample_bicubic2d", 16 * 80),
        (lambda x, w: bicubic(x * w, (8, 10)), "_upsample_bicubic2d_aa", 16 * 160),
        (lambda x, w: bicubic(x * w, (2, 1)), "_upsample_bicubic2d_aa", 16 * 40),
        (lambda x, w: bicubic(x * w, (8, 1)), "_upsample_bicubic2d_aa", 16 * 80),
    ],
)
def test_norms_pooling_and_resampling_are_no_products(function, operator, macs):
    found = counted(function)
    assert found.macs_by_operator == {operator: macs}
    assert found.macs_matmul == found.macs_torch == found.activations == 0
    assert found.agree


def test_attention_with_other_lengths_and_widths():
    query, key, value = torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 7, 8), torch.zeros(1, 2, 7, 3)

    def attend(x, weight):
        hot = x.sum() * weight
        return F.scaled_dot_product_attention(query.to(x) + hot, key.to(x), value.to(x))

    found = counted(attend, input_size=(1, 1, 1))
    assert found.macs_by_operator["scaled_dot_product_attention"] == 2 * 5 * 7 * (8 + 3)
    assert found.activations == 2 * 5 * 7 + 2 * 5 * 3
    assert found.agree


def test_activations_are_those_of_fvcore():
    def build():
        return nn.Sequential(nn.Conv2d(2, 6, 3, groups=2), nn.ReLU(), nn.Flatten(2), nn.Linear(2 * 3, 4))

    condition = Condition(batch_size=1, input_size=SIZE, num_classes=4, device="cpu", precision="fp32")
    with _quiet_tracer():
        from fvcore.nn import ActivationCountAnalysis

        expected = ActivationCountAnalysis(build(), torch.zeros(1, *SIZE)).total()
    assert expected == 2 * 3 * 6 + 6 * 4
    assert count(build, condition, training=False).activations == expected


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


@gram.register_fake
def _(x):
    return x.new_empty(*x.shape[:-1], x.shape[-2])


def encoder_layer(x, weight):
    matrix, vector = weight, weight[0]
    return torch._transformer_encoder_layer_fwd(
        x[0],
        weight.shape[-1],
        1,
        torch.cat([matrix] * 3),
        torch.cat([vector] * 3),
        matrix,
        vector,
        False,
        False,
        1e-5,
        *[vector] * 4,
        *[matrix, vector] * 2,
    )


@pytest.mark.parametrize(
    ("function", "weight_shape", "name"),
    [
        (lambda x, w: Doubled.apply(x * w), (1,), r"prim::PythonOp\.Doubled"),
        (lambda x, w: gram(x * w), (1,), "swatbench_test::gram"),
        (encoder_layer, (4, 4), "aten::_transformer_encoder_layer_fwd"),
        (lambda x, w: torch.baddbmm(w, x[0], x[0]), (1,), "aten::baddbmm"),
        (lambda x, w: torch.mv(x[0, 0], w), (4,), "aten::mv"),
        (lambda x, w: torch.fft.rfft2(x * w).real, (1,), "aten::fft_rfft2"),
        (lambda x, w: torch.linalg.qr(x * w)[1], (1,), "aten::linalg_qr"),
        (lambda x, w: torch.cdist(x * w, x), (1,), "aten::cdist"),
        (lambda x, w: torch.einsum("...w,wk->...k", x, w), (4, 6), "einsum"),
    ],
)
def test_what_no_counter_knows_is_an_error(function, weight_shape, name):
    with pytest.raises(ModelError, match=name):
        counted(function, weight_shape, (2, 4, 4))


class InTrainingAlone(Apply):
    """A model that does nothing in evaluation mode, where what it does in training would be refused too."""

    def forward(self, x):
        return super().forward(x).flatten(1) if self.training else x.flatten(1)


class MultipliesBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * torch.dot(x.flatten(), grad.flatten())


def trained(function, weight_shape=(1,)):
    condition = Condition(batch_size=2, input_size=(2, 4, 4), num_classes=32, device="cpu", precision="fp32")
    return count(lambda: InTrainingAlone(function, weight_shape), condition, training=True)


@pytest.mark.parametrize(
    ("function", "weight_shape", "name"),
    [
        (lambda x, w: x * torch.mv(x[0, 0], w), (4,), "aten::mv"),
        (lambda x, w: x * torch.dot(x[0, 0, 0], w), (4,), "aten::dot"),
        (lambda x, w: x * torch.vdot(x[0, 0, 0], w), (4,), "aten::vdot"),
        (lambda x, w: x * torch.addmv(w, x[0, 0], w), (4,), "aten::addmv"),
        (lambda x, w: x * torch.addr(x[0, 0], w, w), (4,), "aten::addr"),
        (lambda x, w: x * torch.addbmm(w, x[0], x[0]), (1,), "aten::addbmm"),
        (lambda x, w: x * x[0, 0].clone().addmm_(w, w), (4, 4), "aten::addmm_"),
        (lambda x, w: x * F.bilinear(x, x, w), (4, 4, 4), "aten::_trilinear"),
        (lambda x, w: torch.fft.rfft2(x * w).real.repeat(1, 1, 1, 2)[..., :4], (1,), "aten::_fft_r2c"),
        (lambda x, w: torch.linalg.qr(x * w)[1], (1,), "aten::linalg_qr"),
        (lambda x, w: torch.cdist(x * w, x), (1,), "aten::_cdist_forward"),
        (lambda x, w: gram(x * w), (1,), "swatbench_test::gram"),
        (lambda x, w: MultipliesBackward.apply(x * w), (1,), "aten::dot"),
    ],
)
def test_what_training_alone_multiplies_uncounted_is_an_error(function, weight_shape, name):
    with pytest.raises(ModelError, match=f"no counter knows: {name}\\."):
        trained(function, weight_shape)


@pytest.mark.parametrize(
    ("function", "weight_shape", "macs"),
    [
        # Of images of (2, 2, 4, 4) a product and its gradients, that of the images not being wanted.
        (lambda x, w: x @ w, (4, 4), 2 * 64 * 4),
        (lambda x, w: torch.einsum("bchw,wk->bchk", x, w), (4, 4), 2 * 64 * 4),
        (lambda x, w: x * torch.linalg.vector_norm(x * w, dim=-1, keepdim=True), (1,), 0),
        (lambda x, w: F.interpolate(x * w, (4, 4), mode="bilinear"), (1,), 0),
        (lambda x, w: F.layer_norm(F.gelu(x * w).softmax(-1), (4,)).cumsum(-1), (1,), 0),
        (lambda x, w: x * torch.outer(w, w), (4,), 0),
    ],
)
def test_what_training_multiplies_otherwise_is_counted_or_free(function, weight_shape, macs):
    assert trained(function, weight_shape).training_macs == macs
