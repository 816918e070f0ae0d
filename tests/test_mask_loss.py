"""The loss of a segmenter, by hand: pixels without labels, the auxiliary head, smoothing."""

import math

import pytest
import torch

from swatbench.mask_loss import mask_loss
from swatbench.spec.segmentation import IGNORED

LOGITS = torch.tensor([[[[2.0, 0.0], [1.0, 5.0]], [[0.0, 0.0], [4.0, -5.0]]]])
"""Of one image of 2 × 2 pixels and two classes: differences 2, 0, -3 and 10 in favour of the first."""
MASK = torch.tensor([[[0, 1], [0, IGNORED]]])
BY_HAND = (math.log(1 + math.exp(-2)) + math.log(2) + math.log(1 + math.exp(3))) / 4
"""Mean over all four pixels, of which the last counts 0."""


def test_the_mean_is_over_all_pixels_those_without_a_label_included():
    loss = mask_loss(LOGITS, MASK, auxiliary_weight=0.4)
    assert loss.shape == ()
    assert float(loss) == pytest.approx(BY_HAND, rel=1e-6)


def test_pixels_without_a_label_have_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    mask_loss(logits, MASK, auxiliary_weight=0.4).backward()
    assert logits.grad is not None
    assert logits.grad[..., 1, 1].tolist() == [[0.0, 0.0]]
    # Of the first pixel: probability minus target, over four pixels.
    wrong = 1 / (1 + math.exp(2))
    assert logits.grad[0, :, 0, 0].tolist() == pytest.approx([-wrong / 4, wrong / 4], rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_any_label_the_loss_and_all_gradients_are_zero(smoothing):
    logits, auxiliary = LOGITS.clone().requires_grad_(), torch.randn(1, 2, 1, 1, requires_grad=True)
    masks = torch.full_like(MASK, IGNORED)
    loss = mask_loss((logits, auxiliary), masks, auxiliary_weight=0.4, label_smoothing=smoothing)
    loss.backward()
    assert float(loss.detach()) == 0.0
    for values in (logits, auxiliary):
        assert values.grad is not None
        assert values.grad.abs().sum() == 0


def test_the_auxiliary_head_is_resized_and_counts_by_its_weight():
    auxiliary = torch.tensor([[[[1.0]], [[-1.0]]]])
    # One pixel becomes four alike: differences of 2 in favour of the first class.
    own = (2 * math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 4
    for weight in (0.0, 0.4, 2.5):
        loss = mask_loss((LOGITS, auxiliary), MASK, auxiliary_weight=weight)
        assert float(loss) == pytest.approx(BY_HAND + weight * own, rel=1e-6)


def test_an_auxiliary_head_of_a_larger_grid_is_resized_bilinearly():
    auxiliary = torch.tensor([[0.0, 3.0, 1.0, 5.0]]).expand(4, 4)[None, None].repeat(1, 2, 1, 1)
    auxiliary = auxiliary * torch.tensor([1.0, -1.0])[None, :, None, None]
    # Each of the two columns is the mean of two: 1.5 and 3, so differences of 3 and 6.
    own = (math.log(1 + math.exp(-3)) + math.log(1 + math.exp(6)) + math.log(1 + math.exp(-3))) / 4
    loss = mask_loss((LOGITS, auxiliary), MASK, auxiliary_weight=1.0)
    assert float(loss) == pytest.approx(BY_HAND + own, rel=1e-6)


def test_smoothing_spreads_over_all_classes():
    # Of two classes a share of 0.1 puts 0.05 on the wrong one, whose loss is larger by the difference.
    extra = 0.05 * (2 + 0 - 3) / 4
    loss = mask_loss(LOGITS, MASK, auxiliary_weight=0.4, label_smoothing=0.1)
    assert float(loss) == pytest.approx(BY_HAND + extra, rel=1e-6)


def test_micro_batches_of_unequal_labels_add_up_to_the_batch():
    torch.manual_seed(0)
    logits, masks = torch.randn(4, 5, 6, 7), torch.randint(0, 5, (4, 6, 7))
    masks[0] = IGNORED
    masks[1, :3] = IGNORED
    parts = [mask_loss(logits[i : i + 1], masks[i : i + 1], auxiliary_weight=0.0) for i in range(4)]
    whole = mask_loss(logits, masks, auxiliary_weight=0.0)
    assert float(torch.stack(parts).mean()) == pytest.approx(float(whole), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_loss_of_half_precision_is_computed_in_float32(dtype):
    logits, auxiliary = LOGITS.to(dtype), torch.randn(1, 2, 4, 4).to(dtype)
    loss = mask_loss((logits, auxiliary), MASK, auxiliary_weight=0.4)
    assert loss.dtype == torch.float32
    expected = mask_loss((logits.float(), auxiliary.float()), MASK, auxiliary_weight=0.4)
    assert torch.equal(loss, expected)
