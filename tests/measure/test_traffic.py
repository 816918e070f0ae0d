"""Moved bytes against arithmetic: elements of operands times their size."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from swatbench.measure.condition import Condition
from swatbench.measure.traffic import moved_bytes


class Apply(nn.Module):
    """A function of the input (B, C, H, W) and one parameter as a model."""

    def __init__(self, function, weight_shape=(1,)):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(weight_shape))

    def forward(self, x):
        return self.function(x, self.weight)


def moved(build, *, batch_size=2, training=False, **changed):
    condition = Condition(
        **{
            "batch_size": batch_size,
            "input_size": (3, 4, 5),
            "num_classes": 6,
            "device": "cpu",
            "precision": "fp32",
            **changed,
        }
    )
    return moved_bytes(build, condition, training=training)


def moved_by(function, weight_shape=(1,), **changed):
    return moved(lambda: Apply(function, weight_shape), **changed)


IMAGES = 2 * 3 * 4 * 5


@pytest.mark.parametrize(
    ("function", "elements"),
    [
        (lambda x, _: F.relu(x), 2 * IMAGES),
        # In place: the tensor is read and written.
        (lambda x, _: F.relu(x, inplace=True), 2 * IMAGES),
        # An operand that is named twice is read once.
        (lambda x, _: x * x, 2 * IMAGES),
        (lambda x, w: x * w, 2 * IMAGES + 1),
        # Parts of one tensor are different operands.
        (lambda x, _: x[:, 0] + x[:, 1], IMAGES),
        # What is broadcast has the size of its memory.
        (lambda x, w: x + w.expand_as(x), 2 * IMAGES + 1),
        # Views and memory that is not written yet cost nothing.
        (lambda x, _: x.transpose(1, 2).flatten(2, 2).reshape(2, 4, -1, 1)[:1].detach(), 2 * IMAGES),
        (lambda x, _: torch.empty_like(x).expand(2, 3, 4, 5), 0),
        # What is only overwritten is not read.
        (lambda x, _: torch.empty_like(x).copy_(x), 2 * IMAGES),
        (lambda x, _: torch.empty_like(x).zero_(), IMAGES),
        (lambda x, _: torch.zeros_like(x), IMAGES),
        (lambda x, _: x.clone().add_(x), 2 * IMAGES + 3 * IMAGES),
        (lambda x, _: torch.cat([x, x.relu()]), 2 * IMAGES + 4 * IMAGES),
        (lambda x, _: x.mean(), IMAGES + 1),
    ],
)
def test_operators_by_hand(function, elements):
    assert moved_by(function) == 4 * elements


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(60, 6, bias=False))


def test_a_linear_layer_on_a_larger_batch_reads_its_weights_once():
    weights = 60 * 6
    assert moved(linear) == 4 * (2 * 60 + weights + 2 * 6)
    assert moved(linear, batch_size=7) == 4 * (7 * 60 + weights + 7 * 6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_autocast_halves_the_operands_and_casts_them_first(precision):
    images, weights, logits = 2 * 60, 60 * 6, 2 * 6
    casts = (4 + 2) * (images + weights)
    assert moved(linear, precision=precision) == casts + 2 * (images + weights + logits)


def test_training_adds_the_backward_pass():
    images, weights, logits, batch = 2 * 60, 60 * 6, 2 * 6, 2
    forward = images + weights + logits
    # Log softmax, and the mean over labels (8 bytes each), which also gives the sum of the labels' weights.
    loss = 4 * (2 * logits) + 4 * (logits + 1 + 1) + 8 * batch
    start = 4 * 1
    loss_backward = 4 * (1 + logits + 1 + logits) + 8 * batch + 4 * (3 * logits)
    gradient = 4 * (logits + images + weights)
    expected = 4 * forward + loss + start + loss_backward + gradient
    assert moved(linear, training=True) == expected


def test_frozen_parameters_take_no_gradient():
    def trained():
        return nn.Sequential(nn.Flatten(), nn.Linear(60, 6), nn.Linear(6, 6, bias=False))

    def frozen():
        model = trained()
        model[1].requires_grad_(False)
        return model

    assert moved(frozen) == moved(trained)
    # Neither weight nor bias has a gradient, and none is passed on to them.
    images, weights, hidden = 2 * 60, 60 * 6, 2 * 6
    passed_on = hidden + 6 * 6 + hidden
    gradients = (images + hidden + weights) + (hidden + 6)
    assert moved(frozen, training=True) == moved(trained, training=True) - 4 * (passed_on + gradients)


def test_a_parameter_in_two_layers_has_one_gradient():
    def build(*, tied):
        model = nn.Sequential(nn.Flatten(), nn.Linear(60, 60, bias=False), nn.Linear(60, 60, bias=False))
        if tied:
            model[2].weight = model[1].weight
        return model

    # Both layers' gradients are added up.
    add = 4 * 3 * 60 * 60
    apart = moved(lambda: build(tied=False), training=True)
    assert moved(lambda: build(tied=True), training=True) == apart + add


def test_fused_attention_moves_no_weights():
    def plain(x, _):
        return (x @ x.mT).softmax(-1) @ x

    def fused(x, _):
        return F.scaled_dot_product_attention(x, x, x)

    size = {"input_size": (1, 64, 8)}
    tokens, weights = 2 * 64 * 8, 2 * 64 * 64
    # A tensor and its transpose are two operands.
    products = (2 * tokens + weights) + (weights + tokens + tokens)
    assert moved_by(plain, **size) == 4 * (products + 2 * weights)
    # It reads the one tensor once, and writes its result and a number for each query.
    assert moved_by(fused, **size) == 4 * (2 * tokens + 2 * 64)


def test_in_inference_attention_is_fused_though_its_mask_is_learnt():
    def attend(x, mask):
        return F.scaled_dot_product_attention(x, x, x, attn_mask=mask.relu())

    tokens, weights = 2 * 64 * 8, 64 * 64
    # The mask is read and written to be made, and read by attention.
    expected = 4 * (2 * weights + 2 * tokens + weights + 2 * 64)
    assert moved_by(attend, (64, 64), input_size=(1, 64, 8)) == expected


def test_layers_of_transformers_are_counted_though_torch_would_fuse_them():
    def build():
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).requires_grad_(False)
        return nn.Sequential(nn.Flatten(2), layer)

    weights = 8 * 3 * 8 + 8 * 8 + 2 * 8 * 16
    assert moved(build, input_size=(5, 2, 4)) > 4 * weights
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_layout_that_must_be_copied_is_counted():
    def model():
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten())

    copy = 2 * 4 * (2 * 4 * 4 * 5)
    assert moved(model, layout="channels_last") == moved(model) + copy


@pytest.mark.parametrize("training", [False, True])
def test_buffers_are_stand_ins_too(training):
    def build():
        return nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(60, 6))

    assert moved(build, training=training) > moved(linear, training=training)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("training", [False, True])
def test_a_linear_layer_moves_as_much_on_cuda(training):
    before = torch.cuda.memory_allocated()
    on_cuda = moved(linear, device="cuda", training=training)
    assert on_cuda == moved(linear, training=training)
    assert torch.cuda.memory_allocated() == before
