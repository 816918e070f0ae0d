"""A difference in accuracy → words: effect and interval first, what it rests on, then the p values."""

from swatbench.report import words
from swatbench.report.accuracy import Accuracy
from swatbench.report.families import ALPHA, Adjusted, seed_verdict
from swatbench.stats.accuracy import FEW_SEEDS, ImageDifference, SeedDifference
from swatbench.stats.miou import MaskDifference


def effect_in_words(accuracy: Accuracy, adjusted: Adjusted) -> str:
    """The interval of a difference and what it rests on, in brackets, and whether it is decided.

    Across seeds where there are several that differ; else on these images, since that is all there is.
    """
    seeds, images = accuracy.seeds, accuracy.images
    number = words.count(seeds.seeds, "seed")
    if seeds.low is not None:
        verdict = seed_verdict(seeds, adjusted)
        told = f"(95 % CI {words.between(seeds.low, seeds.high)}, {number})"
        return f"{told}, {verdict}" if verdict != "decided" else told
    if images is None:
        return f"({number}, no interval), not decided"
    interval = words.between(images.low, images.high)
    return f"(95 % CI on these images alone {interval}, {number}), not decided across seeds"


def tests_in_words(accuracy: Accuracy, adjusted: Adjusted) -> str:
    """The two questions apart: across seeds, then these checkpoints on these images."""
    across, both = _across_seeds(accuracy.seeds, adjusted), accuracy.both
    if both:
        across = f"{across}; with new images too, 95 % CI {words.between(both.low, both.high)}"
    return f"Across seeds: {across}. {_these_images(accuracy.images, adjusted)}."


def _across_seeds(seeds: SeedDifference, adjusted: Adjusted) -> str:
    if seeds.seeds == 1:
        return "one seed shows no spread, so this is not decided"
    if seeds.low is None:
        return "the same difference in each seed, so no interval; not decided"
    told = f"p {words.probability(seeds.t_p)} (paired t"
    if adjusted.comparisons > 1:
        told += f"; Holm's over {adjusted.comparisons} comparisons {words.probability(adjusted.t_p)}"
    told += f"), {words.probability(seeds.p)} by sign flips"
    if seeds.smallest_p >= ALPHA or seeds.seeds < FEW_SEEDS:
        told += f", of which {seeds.seeds} seeds allow none below {words.probability(seeds.smallest_p)}"
    return told


def _these_images(images: ImageDifference | MaskDifference | None, adjusted: Adjusted) -> str:
    if images is None:
        return "Not compared image by image"
    checkpoints = words.count(2 * images.seeds, "checkpoint")
    told = f"These {checkpoints} on these {words.count(images.images, 'image')}: "
    told += f"95 % CI {words.between(images.low, images.high)}{'' if images.decided else ', not decided'}"
    if isinstance(images, MaskDifference):
        return told
    largest = max((p for p in adjusted.mcnemar_p if p is not None), default=None)
    corrected = f" (Holm's over {adjusted.image_tests} tests)" if adjusted.image_tests > 1 else ""
    return f"{told}; McNemar's p {_at_most(words.probability(largest), images.seeds)}{corrected}"


def _at_most(largest: str, seeds: int) -> str:
    if seeds == 1:
        return largest
    return f"{largest} in every seed" if largest.startswith("<") else f"at most {largest} in any seed"
