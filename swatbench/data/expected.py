"""What a split must hold, and the one way of saying that it does not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swatbench.data.files import Listing
from swatbench.errors import DataError

SHOWN = 3
"""Names that an error lists before it says how many more there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What there must be of one split.

    Attributes:
        name: Name of the split, as in the suite.
        images: Images in it.
        num_classes: Classes of the dataset.
    """

    name: str
    images: int
    num_classes: int

    def refusal(self, why: str, *, where: str, fix: str) -> DataError:
        """The error that says what there must be and what there is instead."""
        wanted = f"The {self.name} split needs {self.images} images of {self.num_classes} classes"
        return DataError(f"{wanted}, but {why}.", where=where, fix=fix)

    def check(self, listing: Listing) -> None:
        """Refuse a split whose images or classes are not as many as there must be.

        Raises:
            DataError: Says the numbers found and expected.
        """
        found, labels = listing.files.images, listing.labels
        if found != self.images:
            fix = "Complete the data, or correct the count in the suite."
            why = f"{found} images are there{listing.hint}"
            raise self.refusal(why, where=listing.where, fix=fix)
        classes = np.unique(labels)
        if classes[0] < 0 or classes[-1] >= self.num_classes:
            outside = classes[0] if classes[0] < 0 else classes[-1]
            why = f"label {outside} is none of 0 to {self.num_classes - 1}"
            raise self.refusal(
                why, where=listing.where, fix="Correct num_classes in the suite, or the labels."
            )
        count = len(listing.classes) or len(classes)
        if count != self.num_classes:
            raise self.refusal(
                f"{count} classes are there", where=listing.where, fix="Correct num_classes, or the data."
            )


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
