"""Accuracy and loss on the test images, with one row of facts for each image.

Letters: B images in a batch, K classes, n test images.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swatbench.errors import TrainingError
from swatbench.precision import Precision, autocast


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a model gives on the test images.

    Attributes:
        images: Number of test images n.
        correct: Images whose logit at the label is larger than every other; a tie is wrong.
        top1_percent: `correct` in percent of n.
        top5_percent: Images with fewer than five other logits as large as the label's, in percent of n.
        loss: Mean cross-entropy without label smoothing, in nats.
        predictions: Four arrays (n,) in the order of the images: int64 `label`; int64 `predicted`, the class
            of the largest logit (in a tie with the label, the other class); float32 `margin`, the label's
            logit less the largest other, positive exactly where the image is correct; float32 `loss`, the
            cross-entropy in nats.
    """

    images: int
    correct: int
    top1_percent: float
    top5_percent: float
    loss: float
    predictions: dict[str, np.ndarray]


def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device: torch.device,
    precision: Precision,
) -> Evaluation:
    """Run a model over all test images.

    Args:
        model: The model, on `device`; it is left in the mode (train or eval) in which it came.
        batches: Normalised images (B, 3, H, W) and int64 labels (B,).
        device: Where model and batches are.
        precision: Autocast type of the forward pass. Losses and margins are taken in float32.

    Raises:
        TrainingError: A logit is not finite, so the weights are of no use.
        ValueError: There is no batch.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            rows = [_judge(logits, labels) for logits, labels in _forward(model, batches, device, precision)]
    finally:
        model.train(was_training)
    if not rows:
        raise ValueError("there must be at least one test batch, not 0")
    return _summarise({name: torch.cat([row[name] for row in rows]).cpu().numpy() for name in rows[0]})


def _forward(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    precision: Precision,
) -> Iterable[tuple[Tensor, Tensor]]:
    for images, labels in batches:
        with autocast(device.type, precision):
            logits = model(images)
        yield logits.float(), labels


def _judge(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Facts (B,) about a batch from float32 logits (B, K) and labels (B,)."""
    at_label = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    largest, rival = others.max(1)
    margin = at_label[:, 0] - largest
    # bfloat16 logits are often equal; counting a tie as wrong favours no class, whatever topk would pick.
    return {
        "label": labels,
        "predicted": torch.where(margin > 0, labels, rival),
        "margin": margin,
        "loss": F.cross_entropy(logits, labels, reduction="none"),
        "ahead": (others >= at_label).sum(1),
        "finite": logits.isfinite().all(1),
    }


def _summarise(facts: dict[str, np.ndarray]) -> Evaluation:
    n = len(facts["label"])
    broken = n - int(facts["finite"].sum())
    if broken:
        raise TrainingError(
            f"The trained model gives logits that are not finite for {broken} of {n} test images.",
            fix="Lower recipe.learning_rate or set recipe.clip_grad_norm.",
        )
    correct = int((facts["margin"] > 0).sum())
    return Evaluation(
        images=n,
        correct=correct,
        top1_percent=100 * correct / n,
        top5_percent=100 * int((facts["ahead"] < 5).sum()) / n,
        loss=float(facts["loss"].mean(dtype=np.float64)),
        predictions={name: facts[name] for name in ("label", "predicted", "margin", "loss")},
    )
