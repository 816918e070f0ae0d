"""Facts about test images, one row an image, from one process or several that share the images.

Letters: B images in a batch, K classes, n test images.
"""

from collections.abc import Iterator

import numpy as np
from torch import Tensor, nn

from swatbench.errors import DataError, ModelError, TrainingError
from swatbench.precision import Precision, autocast
from swatbench.train.batches import TestBatches
from swatbench.train.score import Facts
from swatbench.world import World

_RECOUNT = "Compare the test split with the number of images that the suite states."


def placed(batches: TestBatches) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Batches, each with the part of `batches.positions` that says where its images are in the test set.

    Args:
        batches: This process's test images.

    Raises:
        DataError: More images come than there are positions.
    """
    start = 0
    for images, labels in batches:
        stop = start + len(labels)
        if stop > len(batches.positions):
            raise DataError(f"More than the {batches.images} test images came.", fix=_RECOUNT)
        yield slice(start, stop), images, labels
        start = stop


def logits_of(model: nn.Module, images: Tensor, precision: Precision, num_classes: int) -> Tensor:
    """A model's float32 logits (B, K, ...) of images (B, 3, H, W).

    Args:
        model: The model.
        images: The images, on its device.
        precision: Autocast type of the forward pass.
        num_classes: Classes K.

    Raises:
        ModelError: The model has another number of classes.
    """
    with autocast(images.device.type, precision):
        logits = model(images)
    if logits.shape[1] != num_classes:
        raise ModelError(
            f"The model chooses among {logits.shape[1]} classes, and the data have {num_classes}.",
            fix="Test it on data with the classes that it was trained on.",
        )
    return logits.float()


def gathered(own: Facts, batches: TestBatches, world: World) -> Facts:
    """Facts about all images in the order of the test set; all processes of `world` must call this.

    Args:
        own: Arrays with a row for each image of this process, in the order in which they came.
        batches: Says where this process's images are in the test set.
        world: The processes that test together.

    Raises:
        DataError: Images of the test set are missing, or came more than once.
    """
    parts = [(places, facts) for places, facts in world.gather((batches.positions, own)) if facts]
    tested = [places[: len(next(iter(facts.values())))] for places, facts in parts]
    positions = np.concatenate([np.empty(0, dtype=np.int64), *tested])
    if not np.array_equal(np.sort(positions), np.arange(batches.images)):
        different = len(np.unique(positions))
        raise DataError(
            f"Of {batches.images} test images {batches.images - different} were missed, "
            f"and {len(positions) - different} came more than once.",
            fix=_RECOUNT,
        )
    order = np.argsort(positions)
    return {name: np.concatenate([facts[name] for _, facts in parts])[order] for name in parts[0][1]}


def require_finite(facts: Facts) -> None:
    """Refuse the scores of a model whose logits are of no use.

    Args:
        facts: Facts about all images, bool (n,) `finite` among them.

    Raises:
        TrainingError: The logits of an image are not finite.
    """
    n = len(facts["finite"])
    broken = n - int(facts["finite"].sum())
    if broken:
        raise TrainingError(
            f"The trained model gives logits that are not finite for {broken} of {n} test images.",
            fix="Lower recipe.learning_rate or set recipe.clip_grad_norm.",
        )
