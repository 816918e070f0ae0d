"""Comparisons → their p values corrected for how many were asked at once, and the verdict that is left.

The comparisons of accuracy on one machine's test split are a family: whoever reads a report looks at all of
them. Holm's correction is made for each kind of test apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from swatbench.report.accuracy import Accuracy
from swatbench.stats.accuracy import FEW_SEEDS, ImageDifference, SeedDifference
from swatbench.stats.multiplicity import holm

ALPHA = 0.05
"""Level at which a question is called decided."""


class Compared(Protocol):
    """A comparison of an arm with its reference, on any test set."""

    @property
    def accuracy(self) -> Accuracy | None:
        """Difference in accuracy, where there is one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """p values of one comparison after Holm's correction.

    Attributes:
        t_p: Of the paired t test across seeds; None where there is none.
        sign_flip_p: Of the sign-flip test across seeds.
        mcnemar_p: Of McNemar's test, for each seed; nothing for masks, which have no such test.
        comparisons: Comparisons in the family.
        image_tests: McNemar's tests in the family.
    """

    t_p: float | None
    sign_flip_p: float | None
    mcnemar_p: tuple[float | None, ...]
    comparisons: int
    image_tests: int


def families(items: Sequence[Compared]) -> tuple[Adjusted | None, ...]:
    """Correct the p values of comparisons that are read together.

    Args:
        items: The comparisons, as all of one machine's on the test split.

    Returns:
        One entry for each item, in their order; None where accuracy was not compared.
    """
    accuracies = [item.accuracy for item in items if item.accuracy]
    t_p = iter(holm([accuracy.seeds.t_p for accuracy in accuracies]))
    flips = iter(holm([accuracy.seeds.p if accuracy.seeds.seeds > 1 else None for accuracy in accuracies]))
    per_seed = [_mcnemar(accuracy) for accuracy in accuracies]
    images = iter(holm([p for row in per_seed for p in row]))
    tests = sum(map(len, per_seed))
    adjusted = iter(
        [
            Adjusted(
                t_p=next(t_p),
                sign_flip_p=next(flips),
                mcnemar_p=tuple(next(images) for _ in row),
                comparisons=len(accuracies),
                image_tests=tests,
            )
            for row in per_seed
        ]
    )
    return tuple(next(adjusted) if item.accuracy else None for item in items)


def _mcnemar(accuracy: Accuracy) -> tuple[float, ...]:
    return accuracy.images.mcnemar_p if isinstance(accuracy.images, ImageDifference) else ()


def seed_verdict(seeds: SeedDifference, adjusted: Adjusted) -> str:
    """Whether the difference holds across seeds, in a few words.

    Args:
        seeds: The difference.
        adjusted: Its corrected p values.
    """
    if not seeds.decided:
        return "not decided"
    if adjusted.t_p is None or adjusted.t_p >= ALPHA:
        return f"not decided among {adjusted.comparisons} comparisons"
    return "decided if normal" if seeds.seeds < FEW_SEEDS else "decided"
