"""Which image is visited when, and every random choice about it: functions of seed, pass and image index.

A run with steps in place of epochs visits images pass after pass: visit v of the whole run is the one at
place v mod n of pass v // n, and each pass has an order of its own. As in `draws`, only the raw numbers of
numpy's Philox generator are used, and neither batches, processes nor models change them.

Letters: n training images.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from swatbench.data.draws import draw_order

CROPS: Final = 11
"""Places that are drawn for a crop: the first, and ten to try again."""
_MASKED: Final = 6
"""Number of this kind of choice; `draws` has those from 0 to 5."""
_COLOURS: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskDraws:
    """How one training image is changed in one pass; all numbers lie in [0, 1).

    Attributes:
        scale: Decides the factor on the image's size.
        flip: Decides whether the crop is mirrored.
        places: float64 array (CROPS, 2), first row and first column of each crop to try.
        colours: float64 array (9,), the choices of the photometric distortion.
    """

    scale: float
    flip: float
    places: np.ndarray
    colours: np.ndarray


def draw_mask_changes(*, seed: int, visited_in: int, index: int) -> MaskDraws:
    """Changes to one image in one pass.

    Args:
        seed: Seed of the run.
        visited_in: Number of the pass, from 0.
        index: Number of the image.
    """
    stream = np.random.Philox(np.random.SeedSequence((seed, visited_in, _MASKED, index)))
    raw = stream.random_raw(2 + 2 * CROPS + _COLOURS)
    # The upper 53 bits, as numpy itself makes a number in [0, 1) of them.
    uniform = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return MaskDraws(
        scale=float(uniform[0]),
        flip=float(uniform[1]),
        places=uniform[2 : 2 + 2 * CROPS].reshape(CROPS, 2),
        colours=uniform[2 + 2 * CROPS :],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """Which images the epochs of a run visit.

    Attributes:
        images: Training images n.
        seed: Seed of the run.
        per_epoch: Visits in an epoch.
        run_on: Whether an epoch goes on where the last one ended; if not, each begins a pass of its own and
            leaves out what `per_epoch` does not reach.
    """

    images: int
    seed: int
    per_epoch: int
    run_on: bool

    def of_epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The visits of one epoch in order.

        Args:
            epoch: Number of the epoch, from 0.

        Returns:
            Two int64 arrays (per_epoch,): the number of the pass, and the image's index.
        """
        first = epoch * (self.per_epoch if self.run_on else self.images)
        passes, places = np.divmod(np.arange(first, first + self.per_epoch), self.images)
        index = np.empty_like(places)
        for each in np.unique(passes).tolist():
            here = passes == each
            index[here] = draw_order(self.images, seed=self.seed, epoch=each)[places[here]]
        return passes, index

    def digest(self, epochs: int) -> str:
        """SHA-256 in hex of the images' indices in the order in which so many epochs visit them."""
        value = hashlib.sha256()
        for epoch in range(epochs):
            value.update(self.of_epoch(epoch)[1].astype("<i8").tobytes())
        return value.hexdigest()
