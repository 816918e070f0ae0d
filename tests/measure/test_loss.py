"""Labels and loss of a measured training step: of classes, and of masks with an auxiliary head."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from swatbench.errors import ModelError
from swatbench.mask_loss import mask_loss
from swatbench.measure.condition import Condition
from swatbench.measure.loss import label_shape, labels_of, mean_loss

CLASSIFIES = Condition(batch_size=5, input_size=(3, 8, 12), num_classes=3, device="cpu", precision="fp32")
SEGMENTS = replace(CLASSIFIES, auxiliary_weight=0.4)


def test_a_classifier_has_a_label_an_image_and_a_segmenter_one_a_pixel():
    assert label_shape(CLASSIFIES) == (5,)
    assert label_shape(SEGMENTS) == (5, 8, 12)
    assert label_shape(replace(SEGMENTS, auxiliary_weight=0.0)) == (5, 8, 12)
    assert label_shape(SEGMENTS.at(2)) == (2, 8, 12)


def test_every_class_comes_in_turn():
    assert labels_of(CLASSIFIES).tolist() == [0, 1, 2, 0, 1]
    masks = labels_of(SEGMENTS)
    assert (masks.shape, masks.dtype) == ((5, 8, 12), torch.int64)
    assert masks.is_contiguous()
    assert masks.flatten()[:7].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert masks.flatten().bincount().tolist() == [160, 160, 160]


def test_of_more_classes_than_labels_the_first_are_taken():
    assert labels_of(replace(CLASSIFIES, num_classes=100)).tolist() == [0, 1, 2, 3, 4]


def test_the_loss_is_that_of_training():
    torch.manual_seed(0)
    labels, masks = labels_of(CLASSIFIES), labels_of(SEGMENTS)
    logits, maps, auxiliary = torch.randn(5, 3), torch.randn(5, 3, 8, 12), torch.randn(5, 3, 2, 3)
    assert torch.equal(mean_loss(logits, labels), F.cross_entropy(logits, labels))
    both = mean_loss((maps, auxiliary), masks, auxiliary_weight=0.4)
    assert torch.equal(both, mask_loss((maps, auxiliary), masks, auxiliary_weight=0.4))
    alone = mean_loss(maps, masks, auxiliary_weight=0.0)
    torch.testing.assert_close(alone, F.cross_entropy(maps, masks))
    assert both > alone


def test_a_classifier_that_gives_two_outputs_is_refused():
    with pytest.raises(ModelError, match="gives a tuple, not logits"):
        mean_loss((torch.randn(5, 3), torch.randn(5, 3)), labels_of(CLASSIFIES))
