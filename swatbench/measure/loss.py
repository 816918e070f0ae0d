"""What a measured training step is trained towards: labels drawn from nothing, and their loss.

Shapes: images (B, C, H, W); of a classifier labels (B,) and logits (B, K); of a segmenter masks (B, H, W).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from swatbench.errors import ModelError
from swatbench.mask_loss import mask_loss
from swatbench.measure.condition import Condition


def label_shape(condition: Condition) -> tuple[int, ...]:
    """Shape of the labels of a batch."""
    rows = (condition.batch_size,)
    return rows if condition.auxiliary_weight is None else (*rows, *condition.input_size[1:])


def labels_of(condition: Condition) -> Tensor:
    """The classes of a batch, int64, on the condition's device; every class in turn."""
    shape = torch.Size(label_shape(condition))
    numbers = torch.arange(shape.numel(), device=condition.device).reshape(shape)
    return numbers % condition.num_classes


def mean_loss(outputs: object, labels: Tensor, *, auxiliary_weight: float | None = None) -> Tensor:
    """Mean cross entropy (), as in a training step.

    Args:
        outputs: What the model gives in training.
        labels: As `labels_of` makes them.
        auxiliary_weight: Weight of a segmenter's auxiliary head; None where the model classifies.

    Raises:
        ModelError: A classifier gives no tensor.
    """
    if auxiliary_weight is not None:
        return mask_loss(outputs, labels, auxiliary_weight=auxiliary_weight)  # pyright: ignore[reportArgumentType]
    if not isinstance(outputs, Tensor):
        raise ModelError(
            f"In training the model gives a {type(outputs).__name__}, not logits of shape (B, classes).",
            fix="Build it so that it gives one tensor in training mode too, or measure inference alone.",
        )
    return F.cross_entropy(outputs, labels)
