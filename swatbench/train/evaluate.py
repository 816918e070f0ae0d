"""Running a model over test images, by one process or several that share them.

Every image is counted exactly once, whatever the number of processes; each of them gets the whole result.

Letters: B images in a batch, K classes, n test images, L labels an image has at most.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swatbench.precision import Precision
from swatbench.train.batches import TestBatches
from swatbench.train.gather import gathered, logits_of, placed, require_finite
from swatbench.train.score import Evaluation, score_by_label, score_by_labels
from swatbench.world import ALONE, World


def evaluate(
    model: nn.Module,
    batches: TestBatches,
    *,
    device: torch.device,
    precision: Precision,
    world: World = ALONE,
    num_classes: int,
    allowed: np.ndarray | None = None,
    real: Sequence[tuple[int, ...]] | None = None,
) -> Evaluation:
    """Run a model over all test images; all processes of `world` must call this, and get the same.

    Args:
        model: The model, on `device`; it is left in the mode (train or eval) in which it came.
        batches: This process's test images, on `device`.
        device: Where model and batches are.
        precision: Autocast type of the forward pass. All else is computed in float32.
        world: The processes that test together.
        num_classes: Classes K.
        allowed: int64 classes that the model chooses among, where not all; other logits count as -inf.
        real: Labels of each of the n images, in the order of the test set, each of which is right, as the
            ReaL labels of ImageNet are (Beyer et al. 2020, arXiv:2006.07159); images without any are left
            out. None for the batches' labels.

    Raises:
        TrainingError: A logit is not finite, so the weights are of no use.
        ModelError: The model has another number of classes.
        DataError: Images of the test set are missing, or came more than once.
        ValueError: There is no image or no label, or labels and allowed classes do not fit.
    """
    if batches.images < 1:
        raise ValueError(f"there must be at least one test image, not {batches.images}")
    right = None if real is None else _table(real, batches.images, num_classes)[batches.positions]
    banned = None if allowed is None else _banned(allowed, num_classes).to(device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            rows = [
                _judge(logits_of(model, images, precision, num_classes), answers, banned)
                for images, answers in _answered(batches, right, device)
            ]
    finally:
        model.train(was_training)
    own = {name: torch.cat([row[name] for row in rows]).cpu().numpy() for name in rows[0]} if rows else {}
    facts = gathered(own, batches, world)
    require_finite(facts)
    return score_by_label(facts, num_classes) if real is None else score_by_labels(facts, real)


def _table(real: Sequence[tuple[int, ...]], images: int, num_classes: int) -> np.ndarray:
    """Labels (n, L), rows filled up with their first label, and with 0 where there is none."""
    if len(real) != images:
        raise ValueError(f"there are labels for {len(real)} images, not for {images}")
    found = [label for labels in real for label in labels]
    if not found or not 0 <= min(found) <= max(found) < num_classes:
        raise ValueError(f"there must be labels, from 0 to {num_classes - 1}")
    longest = max(map(len, real))
    return np.array([[*labels, *(labels[:1] or (0,)) * (longest - len(labels))] for labels in real])


def _banned(allowed: np.ndarray, num_classes: int) -> Tensor:
    if not len(allowed) or not 0 <= allowed.min() <= allowed.max() < num_classes:
        raise ValueError(f"allowed classes must be some of 0 to {num_classes - 1}")
    banned = torch.ones(num_classes, dtype=torch.bool)
    banned[torch.from_numpy(allowed)] = False
    return banned


def _answered(
    batches: TestBatches, right: np.ndarray | None, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images with the classes (B, L) that are right: those given for this process's images, or the labels."""
    given = None if right is None else torch.from_numpy(right).to(device)
    for own, images, labels in placed(batches):
        yield images, labels[:, None] if given is None else given[own]


def _judge(logits: Tensor, answers: Tensor, banned: Tensor | None) -> dict[str, Tensor]:
    """Facts (B,) about a batch from float32 logits (B, K) and the classes (B, L) that are right."""
    # Infinite or NaN where any logit is, and where two lie too far apart for a loss.
    spread = logits.amax(1) - logits.amin(1)
    if banned is not None:
        logits = logits.masked_fill(banned, -torch.inf)
    at_answer = logits.gather(1, answers).amax(1, keepdim=True)
    others = logits.scatter(1, answers, -torch.inf)
    largest, rival = others.max(1)
    # A copy: what a worker process gave keeps a file of shared memory open for as long as it is referred to.
    margin, label = at_answer[:, 0] - largest, answers[:, 0].clone()
    # bfloat16 logits are often equal; counting a tie as wrong favours no class, whatever topk would pick.
    return {
        "label": label,
        "predicted": torch.where(margin > 0, label, rival),
        "margin": margin,
        "loss": F.cross_entropy(logits, label, reduction="none"),
        "confidence": logits.softmax(1).amax(1),
        "ahead": (others >= at_answer).sum(1),
        "finite": spread.isfinite(),
    }
