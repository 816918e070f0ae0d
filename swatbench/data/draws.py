"""Every random choice about training images: a pure function of the seed, the epoch and the image's index.

Nothing here depends on the batch size, the device, the number of processes or the model, so both arms of a
pair see the same images in the same order with the same changes. Only the raw numbers of numpy's Philox
generator are used, which numpy keeps the same from version to version.

Letters: n training images, p pixels of padding on each side.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from swatbench.spec.recipe import Augmentation

_ORDER, _AUGMENTATION, _IMAGE, _MIXING, _SHARDS, _SAMPLE = range(6)


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


def draw_visits(n: int, *, repeats: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Which image an epoch visits at each place, and in which copy.

    Copies of an image follow one another, so that they are seen in the same step, and the epoch ends after n
    visits; the images left over are not seen in it.

    Args:
        n: Number of training images, and of visits.
        repeats: Copies of an image; with one this is `draw_order`.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.

    Returns:
        Two int64 arrays (n,): the image's index, and the number of the copy, from 0.

    Source: E. Hoffer et al., "Augment your batch", CVPR 2020; timm's `RepeatAugSampler`.
    """
    order = draw_order(n, seed=seed, epoch=epoch)
    return np.repeat(order[: -(-n // repeats)], repeats)[:n], np.arange(n) % repeats


def draw_augmentation(n: int, augmentation: Augmentation, *, seed: int, epoch: int, copy: int = 0) -> Draws:
    """Changes to every image in one epoch.

    Args:
        n: Number of training images; the draws of image i do not depend on it.
        augmentation: What may change, and how much.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
        copy: Which copy of the images, where they are repeated.
    """
    # The first copy draws what an epoch without repeats draws.
    stream = _philox(seed, epoch, _AUGMENTATION, *((copy,) if copy else ()))
    raw = stream.random_raw(3 * n).reshape(n, 3)
    # The upper 53 bits, as numpy itself makes a number in [0, 1) of them.
    uniform = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    offsets = (uniform[:, :2] * (2 * augmentation.crop_padding + 1)).astype(np.int64)
    return Draws(y=offsets[:, 0], x=offsets[:, 1], flip=uniform[:, 2] < augmentation.flip_probability)


def image_seed(*, seed: int, epoch: int, index: int, copy: int) -> np.ndarray:
    """Seed of all that is drawn for one copy of an image, where images are changed one by one.

    Returns:
        uint32 array (8,), as `seeded` takes it.
    """
    return _words(seed, epoch, _IMAGE, index, copy)


def sample_seed(*, seed: int, epoch: int, worker: int, position: int, copy: int) -> np.ndarray:
    """Seed of all that is drawn for the image at a position of one worker's stream, likewise."""
    return _words(seed, epoch, _SAMPLE, worker, position, copy)


def mixing_seed(*, seed: int, epoch: int, step: int, k: int) -> np.ndarray:
    """Seed of how the images of micro-batch k of a step are mixed with one another, likewise."""
    return _words(seed, epoch, _MIXING, step, k)


def shard_seed(*, seed: int, epoch: int, worker: int | None = None) -> int:
    """Seed of the order of shards, or of one worker's order of the images in its shards; below 2^31."""
    place = () if worker is None else (worker + 1,)
    return int(_words(seed, epoch, _SHARDS, *place)[0] >> np.uint32(1))


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
    changes = hashlib.sha256()
    for epoch in range(epochs):
        for copy in range(augmentation.repeats):
            draws = draw_augmentation(n, augmentation, seed=seed, epoch=epoch, copy=copy)
            changes.update(np.stack([draws.y, draws.x, draws.flip]).astype("<i8").tobytes())
    order = order_digest(
        n, repeats=augmentation.repeats, seed=seed, epochs=epochs, images_per_epoch=images_per_epoch
    )
    return order, changes.hexdigest()


def order_digest(n: int, *, repeats: int, seed: int, epochs: int, images_per_epoch: int) -> str:
    """SHA-256 in hex of the indices of images in the order in which they are seen (see `stream_digests`)."""
    order = hashlib.sha256()
    for epoch in range(epochs):
        index, _ = draw_visits(n, repeats=repeats, seed=seed, epoch=epoch)
        order.update(index[:images_per_epoch].astype("<i8").tobytes())
    return order.hexdigest()


def _philox(*key: int) -> np.random.Philox:
    return np.random.Philox(np.random.SeedSequence(key))


def _words(*key: int) -> np.ndarray:
    return np.random.SeedSequence(key).generate_state(8)
