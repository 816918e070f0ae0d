"""Sections → what the seeds and images at hand can decide, what would settle the rest, what is the same."""

import math
from collections.abc import Sequence

from swatbench.report import words
from swatbench.report.accuracy import Accuracy
from swatbench.report.comparison import Comparison
from swatbench.report.families import seed_verdict
from swatbench.report.metric import shared_metric
from swatbench.report.record_links import records_of
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row, who
from swatbench.stats.equivalence import Equivalence, same_within
from swatbench.stats.miou import MaskDifference
from swatbench.stats.power import detectable_across_seeds, detectable_on_images, seeds_to_settle

MOST_SEEDS = 1000
"""Seeds beyond which a difference as small as the one seen is said to be out of reach."""

EXPLORATORY = "margin set after the runs"
"""Mark of an equivalence whose margin nobody can show to have been set beforehand."""


def settling_table(sections: Sequence[Section], link: Link) -> Table:
    """Detectable differences, seeds that would settle a question, and equivalence within the margin."""
    rows = [
        {
            "machine": section.machine,
            **who(item),
            **_row(item.accuracy, seed_verdict(item.accuracy.seeds, adjusted)),
            **_same_row(section, item),
            "records": records_of(section, item, link),
        }
        for section in sections
        for item, adjusted in zip(section.comparisons, section.adjusted, strict=True)
        if adjusted and item.accuracy
    ]
    columns = (
        *WHO,
        Column(name="reference", title="Against"),
        Column(name="seeds", title="Seeds", show=words.whole, numeric=True),
        Column(
            name="points", title=f"{shared_metric(sections).title}, points", show=words.signed, numeric=True
        ),
        Column(name="spread_points", title="Spread over seeds, points", show=_two, numeric=True),
        Column(name="detectable_seeds_points", title="Detectable with these seeds", show=_two, numeric=True),
        Column(name="detectable_images_points", title="Detectable on these images", show=_two, numeric=True),
        Column(name="more_seeds", title="More seeds that would settle it"),
        *(_MARGIN if any(row["margin_points"] is not None for row in rows) else ()),
        Column(name="records", title="Records", links=True),
    )
    extra = ("seeds_to_settle", "verdict", "margin_points", "same_low", "same_high", "margin_set_beforehand")
    title = "What these runs can decide"
    return make_table("settling", title, _note(sections), columns, rows, extra=extra)


def same_in_words(section: Section, item: Comparison) -> str:
    """Whether an arm is just as accurate as its reference within the suite's margin, or an empty text."""
    found = equivalence_of(section, item)
    if found is None or not found.same:
        return ""
    remark = "" if set_beforehand(section, item) else f", {EXPLORATORY}"
    margin = words.decimal(found.margin_points, 2)
    return f"just as accurate within ±{margin} points (p {words.probability(found.p)}{remark})"


def equivalence_of(section: Section, item: Comparison) -> Equivalence | None:
    """The test of equivalence across seeds; None without a margin, or where seeds show no spread."""
    if section.margin is None or item.accuracy is None:
        return None
    runs = section.of_pair(item.pair)
    reference, arm = (
        [runs.runs(name)[seed].result.score_percent for seed in item.accuracy.compared]
        for name in (item.reference, item.arm)
    )
    return same_within(reference, arm, section.margin.points)


def set_beforehand(section: Section, item: Comparison) -> bool:
    """Whether the margin was asked for before any of the compared runs began."""
    if section.margin is None or item.accuracy is None:
        return False
    runs = section.of_pair(item.pair)
    compared = (runs.runs(arm)[seed] for arm in (item.reference, item.arm) for seed in item.accuracy.compared)
    return section.margin.beforehand(run.stored for run in compared)


_MARGIN = (
    Column(name="same_interval", title="90 % CI", shown_only=True),
    Column(name="same_p", title="p (two one-sided t tests)", show=words.probability, numeric=True),
    Column(name="same_verdict", title="Same within the margin?"),
)
"""Columns that stand where a suite has a margin."""


def _row(accuracy: Accuracy, verdict: str) -> Row:
    seeds = accuracy.seeds
    spread = seeds.spread_points
    wanted = seeds_to_settle(seeds.points, spread, most=MOST_SEEDS) if spread else None
    return {
        "seeds": seeds.seeds,
        "points": seeds.points,
        "spread_points": spread,
        "detectable_seeds_points": detectable_across_seeds(spread, seeds.seeds) if spread else None,
        "detectable_images_points": _on_images(accuracy),
        "seeds_to_settle": wanted,
        "more_seeds": _more_seeds(verdict, seeds.seeds, wanted, known=bool(spread)),
        "verdict": verdict,
    }


def _on_images(accuracy: Accuracy) -> float | None:
    """What so many images would show; nothing where no image tells the two apart, or there are too few."""
    images = accuracy.images
    if isinstance(images, MaskDifference):
        # Of many images the mean of what each brings is normal, as that of seeds' differences is taken to be.
        return detectable_across_seeds(accuracy.image_spread_points, images.images)
    if images is None or not images.discordance:
        return None
    points = detectable_on_images(images.discordance, images.images)
    return points if math.isfinite(points) else None


def _more_seeds(verdict: str, seeds: int, wanted: int | None, *, known: bool) -> str:
    if verdict.startswith("decided"):
        return "settled"
    if not known:
        return "unknown: seeds show no spread" if seeds > 1 else "unknown: one seed shows no spread"
    if wanted is None:
        return f"more than {words.whole(MOST_SEEDS)}"
    return str(max(wanted - seeds, 1))


def _same_row(section: Section, item: Comparison) -> Row:
    if section.margin is None:
        return {"margin_points": None, "same_interval": words.NOTHING, "same_verdict": None}
    found = equivalence_of(section, item)
    before = set_beforehand(section, item)
    verdict = "not decided: seeds show no spread" if found is None else "yes" if found.same else "not decided"
    return {
        "margin_points": section.margin.points,
        "margin_set_beforehand": before,
        "same_low": found.low if found else None,
        "same_high": found.high if found else None,
        "same_interval": words.between(found.low, found.high, 2) if found else words.NOTHING,
        "same_p": found.p if found else None,
        "same_verdict": verdict if before else f"{verdict} ({EXPLORATORY})",
    }


_BY_SHARE = "of which this share is answered rightly by one of them alone"
_BY_SPREAD = "that bring as unequal parts to the difference in mIoU as these do"


def _note(sections: Sequence[Section]) -> str:
    of_images = _BY_SPREAD if shared_metric(sections).of_masks else _BY_SHARE
    note = (
        "Detectable is the true difference, in points, that a test at 5 % would find with a probability of "
        f"80 %: with as many seeds of this spread, or, for two checkpoints, with as many images {of_images}. "
        "More seeds are those after which a true difference as large as the one seen would be found so, if "
        "the spread stays; no correction for many comparisons is in it."
    )
    margins = [section.margin for section in sections if section.margin]
    if not margins:
        return f"{note} The suite sets no margin within which accuracies count as the same."
    told = words.listed([*dict.fromkeys(f"±{words.decimal(margin.points, 2)}" for margin in margins)])
    return (
        f"{note} The same: the 90 % interval across seeds lies within the suite's margin of {told} points "
        "(two one-sided t tests at 5 %)."
    )


def _two(value: float) -> str:
    return words.decimal(value, 2)
