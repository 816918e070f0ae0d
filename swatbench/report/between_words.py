"""A comparison of two sides → sentences: what they are, then effects with intervals, then what is left."""

from collections import Counter
from collections.abc import Iterator

from swatbench.report import words
from swatbench.report.between import Between
from swatbench.report.between_accuracy import AccuracyChange
from swatbench.report.between_answers import SAME
from swatbench.report.between_costs import TimeChange
from swatbench.report.between_sides import ALWAYS
from swatbench.report.between_tables import NOT_JUDGED, count_verdict, time_verdict
from swatbench.report.conditions import CALLS
from swatbench.report.effect_words import effect_in_words, tests_in_words
from swatbench.report.families import Adjusted, families
from swatbench.report.selection import TEST_SPLIT
from swatbench.spec.cost import Protocol

NOTHING_COMPARED = (
    "Nothing could be compared. Each reason is in the table of what was not compared, or the two sides have "
    "no cell in common."
)

AGAIN = (
    "A ratio that changed is a reason to measure once more: each side is one session, and what else was "
    "otherwise in it (neighbours on the machine, clocks) is part of the change."
)

_HEAD = (
    "suite",
    "machine",
    "processor",
    "accelerator",
    "commit",
    "uncommitted changes",
    "swatbench",
    *ALWAYS,
)
"""Facts that are told in the sentence about a side."""
_ERRS = 0.05


def between_sentences(found: Between) -> tuple[str, ...]:
    """Say what changed from A to B.

    Args:
        found: The comparison.
    """
    corrected = zip(found.accuracy, families(found.accuracy), strict=True)
    accuracy = (_accuracy(item, adjusted) for item, adjusted in corrected)
    return (*_sides(found), *accuracy, *_counts(found), *_times(found), *_rest(found))


def _sides(found: Between) -> Iterator[str]:
    told = {fact.item: fact for fact in found.facts}
    for name in ("A", "B"):
        values = [
            (item, told[item].before if name == "A" else told[item].after) for item in _HEAD if item in told
        ]
        finished = told["cells finished"].before if name == "A" else told["cells finished"].after
        described = "; ".join(f"{item} {value}" for item, value in values)
        yield f"{name}: {described}; cells finished {finished}."
    differ = [fact.item for fact in found.facts if fact.differs]
    yield (
        f"They differ in {words.listed(differ)}." if differ else "They differ in nothing that is told below."
    )


def _accuracy(item: AccuracyChange, adjusted: Adjusted | None) -> str:
    where = "" if item.test == TEST_SPLIT else f" on {item.test}"
    subject, seeds = f"{item.pair} {item.arm}{where}", words.count(item.accuracy.seeds.seeds, "seed")
    if item.same:
        return f"{subject}: {SAME} to the last bit, {seeds}, {words.count(item.test_images, 'test image')}."
    assert adjusted is not None
    effect = f"{words.signed(item.accuracy.seeds.points)} {item.accuracy.metric.points}, B less A"
    changed = ""
    if item.changed_images is not None:
        share = words.decimal(100 * item.changed_images / item.test_images, 2)
        told = "have other counts" if item.accuracy.metric.of_masks else "are answered otherwise"
        changed = f"; {share} % of the images {told}"
    support, tests = effect_in_words(item.accuracy, adjusted), tests_in_words(item.accuracy, adjusted)
    return f"{subject}: {effect} {support}{changed}. {tests}"


def _counts(found: Between) -> Iterator[str]:
    counts = found.costs.counts
    changed = [item for item in counts if count_verdict(item) == "changed"]
    for item in changed:
        ratio = words.factor(item.after / item.before) if item.before else words.NOTHING
        numbers = f"{words.whole(item.before)} in A, {words.whole(item.after)} in B"
        yield f"{item.pair} {item.arm}: {ratio} × {item.quantity} ({numbers}; counted, so exact)."
    if counts and not changed:
        doubt = sum(not item.agree for item in counts)
        but = f", but the counters disagree on {doubt} of them" if doubt else ""
        yield f"Parameters and MACs: equal, {words.count(len(counts), 'count')}{but}."


def _times(found: Between) -> Iterator[str]:
    judged = [item for item in found.costs.times if item.change is not None]
    if found.costs.times:
        yield NOT_JUDGED
    if not judged:
        return
    tally = Counter(time_verdict(item.change) for item in judged)
    told = words.listed([f"{number} {verdict}" for verdict, number in sorted(tally.items())])
    yield f"Ratios of time to the reference, B beside A: {told}."
    for item in judged:
        if item.change is not None and item.change.distinguishable:
            yield _time(item)
    tried = len(judged) - tally["too few rounds"]
    if tried > 1:
        chance = words.decimal(_ERRS * tried)
        yield f"Each is judged by itself at 95 %: of {tried}, {chance} would be told apart by chance. {AGAIN}"


def _time(item: TimeChange) -> str:
    change = item.change
    assert change is not None
    assert change.low is not None
    assert change.high is not None
    protocol: Protocol = item.protocol
    what = f"{CALLS[protocol]} of {words.count(item.batch_size, 'image')}, {item.of.condition}"
    ratios = f"{words.factor(change.before)} in A, {words.factor(change.after)} in B"
    interval = words.factors(change.low, change.high)
    return (
        f"{item.of.pair} {item.of.arm}: {words.factor(change.change)} × its ratio to {item.reference} "
        f"(95 % CI {interval}; {ratios}), {what}."
    )


def _rest(found: Between) -> Iterator[str]:
    if not found.compared:
        yield NOTHING_COMPARED
    refused = [f"{len(found.refused)} not compared"] if found.refused else []
    alone = [f"{len(found.one_sided)} on one side only"] if found.one_sided else []
    failed = sum(len(side.chosen.failed) for _, side in found.sides)
    damaged = sum(len(side.damaged) for _, side in found.sides)
    parts = [*refused, *alone, *([f"{failed} failed"] if failed else [])]
    parts += [f"{words.count(damaged, 'damaged record')}"] if damaged else []
    if parts:
        yield f"Not in these numbers: {', '.join(parts)}; see the tables."
