"""What a segmenter answered to each test image, read from its file of counts and held against its record.

n images, K classes; every count is one of pixels.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swatbench.stats.miou import MaskCounts, influence_values
from swatbench.store.arrays import read_arrays
from swatbench.store.record import Evaluated

_NAMES = ("intersection", "predicted", "labelled")

_CLOSE_PERCENT = 1e-6
"""By how much the mean IoU of the counts may be off the record's, which was rounded on its way."""


def counts_of(file: Path, evaluated: Evaluated) -> tuple[str, MaskCounts]:
    """Digest of the labelled pixels by image and class, and the counts of one seed, of shape (1, n, K).

    Args:
        file: File of counts beside a record.
        evaluated: What the record says of it.

    Raises:
        StoreError: The file is missing or damaged.
        ValueError: It does not hold what the record says.
    """
    arrays = read_arrays(file, _NAMES)
    intersection, predicted, labelled = (arrays[name] for name in _NAMES)
    shape, classes = labelled.shape, len(evaluated.per_class_percent)
    wanted = (evaluated.images, classes) if classes else (evaluated.images, *shape[1:2])
    if len(wanted) != 2 or any(array.shape != wanted for array in (intersection, predicted, labelled)):
        told = ", ".join(f"{name} {arrays[name].shape}" for name in _NAMES)
        raise ValueError(f"their counts are of {told} and not of {wanted} images and classes")
    if not all(np.issubdtype(array.dtype, np.integer) for array in (intersection, predicted, labelled)):
        raise ValueError("their counts are no whole numbers")
    if intersection.min() < 0 or (intersection > np.minimum(predicted, labelled)).any():
        raise ValueError("they count more pixels as found than there are")
    counts = MaskCounts(intersection=intersection[None], predicted=predicted[None], labelled=labelled[None])
    _check_score(counts, evaluated)
    return hashlib.sha256(str(shape).encode() + labelled.astype(np.int64).tobytes()).hexdigest(), counts


def stacked(counts: Sequence[MaskCounts]) -> MaskCounts:
    """The counts of several seeds as one, of shape (seeds, n, K)."""
    return MaskCounts(**{name: np.concatenate([getattr(one, name) for one in counts]) for name in _NAMES})


def _check_score(counts: MaskCounts, evaluated: Evaluated) -> None:
    found = 100 * float(influence_values(counts).mean())
    told = evaluated.miou_percent
    if told is None or not abs(found - told) <= _CLOSE_PERCENT:
        raise ValueError(f"their mIoU is {found:.7g} %, the record says {told} %")
