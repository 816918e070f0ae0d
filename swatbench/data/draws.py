"""Every random choice about training images: a pure function of the seed, the epoch and the image's index.

Nothing here depends on the batch size, the device, the number of processes or the model, so both arms of a
pair see the same images in the same order with the same changes. Only the raw numbers of numpy's Philox
generator are used, which numpy keeps the same from version to version.

Letters: n training images, p pixels of padding on each side.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from swatbench.spec.suite import Augmentation

_ORDER, _AUGMENTATION = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """How each training image is changed in one epoch; entry i belongs to image i.

    Attributes:
        y: int64 array (n,), first row of the crop in the padded image, 0 to 2p.
        x: int64 array (n,), first column of the crop, 0 to 2p.
        flip: bool array (n,), whether the crop is mirrored left to right.
    """

    y: np.ndarray
    x: np.ndarray
    flip: np.ndarray


def draw_order(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """Order in which an epoch visits the images, each once.

    Args:
        n: Number of training images.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.

    Returns:
        int64 array (n,), a permutation of 0 to n - 1.
    """
    return np.argsort(_philox(seed, epoch, _ORDER).random_raw(n), kind="stable")


def draw_augmentation(n: int, augmentation: Augmentation, *, seed: int, epoch: int) -> Draws:
    """Changes to every image in one epoch.

    Args:
        n: Number of training images; the draws of image i do not depend on it.
        augmentation: What may change, and how much.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
    """
    raw = _philox(seed, epoch, _AUGMENTATION).random_raw(3 * n).reshape(n, 3)
    # The upper 53 bits, as numpy itself makes a number in [0, 1) of them.
    uniform = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    offsets = (uniform[:, :2] * (2 * augmentation.crop_padding + 1)).astype(np.int64)
    return Draws(y=offsets[:, 0], x=offsets[:, 1], flip=uniform[:, 2] < augmentation.flip_probability)


def stream_digests(
    n: int, augmentation: Augmentation, *, seed: int, epochs: int, images_per_epoch: int
) -> tuple[str, str]:
    """Digests by which two runs can show that they saw the same images in the same way.

    Args:
        n: Number of training images.
        augmentation: What may change, and how much.
        seed: Seed of the run.
        epochs: Epochs of the run.
        images_per_epoch: Images seen in an epoch, which may be fewer than n by part of a batch.

    Returns:
        SHA-256 in hex of the order in which images are seen, and of every augmentation draw.
    """
    order, changes = hashlib.sha256(), hashlib.sha256()
    for epoch in range(epochs):
        seen = draw_order(n, seed=seed, epoch=epoch)[:images_per_epoch]
        order.update(seen.astype("<i8").tobytes())
        draws = draw_augmentation(n, augmentation, seed=seed, epoch=epoch)
        changes.update(np.stack([draws.y, draws.x, draws.flip]).astype("<i8").tobytes())
    return order.hexdigest(), changes.hexdigest()


def _philox(seed: int, epoch: int, stream: int) -> np.random.Philox:
    return np.random.Philox(np.random.SeedSequence((seed, epoch, stream)))
