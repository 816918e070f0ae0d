"""Two sides → what changed in counts, time and memory of each arm, and which measurements do not agree.

Times of two sides were never taken in the same rounds, so they stand beside one another and are not judged.
What is judged is each side's own ratio of arm to reference, one against the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from swatbench.report.between_accuracy import NotCompared
from swatbench.report.between_counts import CountChange, count_changes
from swatbench.report.between_sides import Side
from swatbench.report.conditions import Called, setting_of
from swatbench.report.ratios import samples_of
from swatbench.report.segmenting import head_of
from swatbench.report.selection import Measured
from swatbench.spec.cost import Protocol
from swatbench.spec.dotted import flat
from swatbench.stats.between import RatioChange, Session, ratio_of_ratios
from swatbench.store.cost import TWIN

COARSE = "resident growth"
"""Kind of memory that is too coarse for a verdict."""

_PER_ARM = frozenset({"arms", "models"})
"""What of a cost cell is compared for each arm."""

_EFFORT = frozenset(
    {"budget_s", "max_rounds", "breakdown", "sweep", "training", "largest_batch", "memory_limit_bytes"}
)
"""What of `cost` says how much is measured and how long, and changes no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What is measured of one arm, and where.

    Attributes:
        pair: Name of the pair.
        arm: The arm.
        setting: What it was taken at, in words; the batch of a call stands beside it where it is another.
        condition: Precision, mode and layout in words.
    """

    pair: str
    arm: str
    setting: str
    condition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeChange:
    """Time of one call on both sides.

    Attributes:
        of: What was measured.
        reference: Arm that the ratios are taken to.
        protocol: Whether it is a forward pass or a training step.
        batch_size: Images in a call.
        before_s: Median on the first side; not to be set against `after_s`.
        after_s: Median on the second.
        change: How the ratio to the reference changed; None for the reference itself, and where there are no
            samples.
    """

    of: Measurement
    reference: str
    protocol: Protocol
    batch_size: int
    before_s: float
    after_s: float
    change: RatioChange | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChange:
    """Peak memory of one arm on both sides, one measurement each.

    Attributes:
        of: What was measured.
        protocol: Inference or training.
        before_bytes: On the first side.
        after_bytes: On the second.
        kind: What memory is measured as.
    """

    of: Measurement
    protocol: Protocol
    before_bytes: int
    after_bytes: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostChanges:
    """All that changed in cost.

    Attributes:
        counts: Parameters and MACs of every arm that both sides have.
        times: Times, by measurement, arm and call.
        memories: Peak memory, alike.
        refused: What could not be compared.
    """

    counts: tuple[CountChange, ...]
    times: tuple[TimeChange, ...]
    memories: tuple[MemoryChange, ...]
    refused: tuple[NotCompared, ...]


def cost_changes(before: Side, after: Side) -> CostChanges:
    """Compare what the arms of every pair cost that both sides measured."""
    refused: list[NotCompared] = []
    counts = count_changes(before, after, refused)
    matched = _matched(before, after, refused)
    arms = [item for one, other in matched for item in _arms(one, other, refused)]
    return CostChanges(
        counts=counts,
        times=tuple(time for item in arms for time in _times(*item, refused)),
        memories=tuple(memory for item in arms for memory in _memories(*item)),
        refused=tuple(refused),
    )


def _matched(before: Side, after: Side, refused: list[NotCompared]) -> tuple[tuple[Measured, Measured], ...]:
    """Measurements of both sides that were asked the same."""
    found: list[tuple[Measured, Measured]] = []
    for one in before.chosen.found.measured:
        others = [other for other in after.chosen.found.measured if other.pair == one.pair]
        reasons = [(_unlike_cells(one, other), other) for other in others]
        alike = [other for why, other in reasons if not why]
        if alike:
            newest = max(alike, key=lambda other: other.stored.record.started_at)
            found.append((one, newest))
        elif reasons:
            nearest = min((why for why, _ in reasons), key=len)
            what = f"cost at {setting_of(one.result)}"
            refused.append(NotCompared(pair=one.pair, arm=None, seeds=(), what=what, why="; ".join(nearest)))
    return tuple(found)


def _unlike_cells(one: Measured, other: Measured) -> tuple[str, ...]:
    """In what two cells differ that would change a call."""
    ours, theirs = (_facts(item) for item in (one, other))
    return tuple(
        f"{key} differs ({_value(ours, key)} and {_value(theirs, key)})"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    )


def _facts(measured: Measured) -> dict[str, Any]:
    # Whatever a cell holds must agree, so a field that is added later is compared without a change here.
    cell = {key: value for key, value in measured.stored.record.cell.items() if key not in _PER_ARM}
    if cell.get("segmentation"):
        # How images are changed in training, and tested, is no part of a call.
        cell["segmentation"] = {**head_of(cell), "crop_size": cell["segmentation"].get("crop_size")}
    cell["cost"] = {key: value for key, value in (cell.get("cost") or {}).items() if key not in _EFFORT}
    # A device is resolved when a cell is asked for; what it was called when the times were taken is told too.
    return {**flat(cell), "memory": measured.result.memory_kind}


def _value(facts: Mapping[str, Any], key: str) -> str:
    return str(facts[key]) if key in facts else "not told"


def _arms(
    one: Measured, other: Measured, refused: list[NotCompared]
) -> Iterator[tuple[Measured, Measured, str]]:
    """Arms that both measurements have, with the same parts, and whose reference has too."""
    reference = one.result.reference
    if _unlike_arms(one, other, reference):
        why = f"the reference {reference} is another: {_unlike_arms(one, other, reference)}"
        what = f"cost at {setting_of(one.result)}"
        refused.append(NotCompared(pair=one.pair, arm=None, seeds=(), what=what, why=why))
        return
    for arm in (cost.arm for cost in one.result.arms if other.cost(cost.arm)):
        why = _unlike_arms(one, other, arm)
        if why:
            what = f"cost at {setting_of(one.result)}"
            refused.append(NotCompared(pair=one.pair, arm=arm, seeds=(), what=what, why=why))
        else:
            yield one, other, arm


def _unlike_arms(one: Measured, other: Measured, arm: str) -> str:
    ours, theirs = one.cell.arms.get(arm), other.cell.arms.get(arm)
    if ours != theirs:
        said = (
            " + ".join(parts) or "none" if parts is not None else "not measured" for parts in (ours, theirs)
        )
        return f"parts differ ({' and '.join(said)})"
    models = [(item.stored.record.cell.get("models") or {}).get(arm) for item in (one, other)]
    return "" if models[0] == models[1] else f"models differ ({models[0]} and {models[1]})"


def _times(one: Measured, other: Measured, arm: str, refused: list[NotCompared]) -> Iterator[TimeChange]:
    theirs = {(call.protocol, call.batch_size): call for call in other.calls(arm)}
    for call in one.calls(arm):
        same = theirs.get((call.protocol, call.batch_size))
        if same is not None:
            change = _ratio_change(one, other, arm, (call, same), refused)
            yield TimeChange(
                of=_of(one, arm),
                reference=one.result.reference,
                protocol=call.protocol,
                batch_size=call.batch_size,
                before_s=call.seconds.p50,
                after_s=same.seconds.p50,
                change=change,
            )


def _ratio_change(
    one: Measured, other: Measured, arm: str, calls: tuple[Called, Called], refused: list[NotCompared]
) -> RatioChange | None:
    if arm == one.result.reference:
        return None
    try:
        return ratio_of_ratios(_session(one, arm, calls[0]), _session(other, arm, calls[1]))
    except (ValueError, KeyError) as error:
        what = f"ratio of {calls[0].protocol} time at batch {calls[0].batch_size}"
        why = f"the raw samples cannot be used: {error}"
        refused.append(NotCompared(pair=one.pair, arm=arm, seeds=(), what=what, why=why))
        return None


def _session(measured: Measured, arm: str, call: Called) -> Session:
    samples = samples_of(measured)
    arm_s, reference_s, twin_s = (
        samples[f"{call.samples}/{name}"] for name in (arm, measured.result.reference, TWIN)
    )
    return Session(arm_s=arm_s, reference_s=reference_s, twin_s=twin_s)


def _memories(one: Measured, other: Measured, arm: str) -> Iterator[MemoryChange]:
    ours, theirs = one.cost(arm), other.cost(arm)
    assert ours is not None
    assert theirs is not None
    for protocol in get_args(Protocol):
        peaks = ours.peak_bytes(protocol), theirs.peak_bytes(protocol)
        if peaks[0] is not None and peaks[1] is not None:
            yield MemoryChange(
                of=_of(one, arm),
                protocol=protocol,
                before_bytes=peaks[0],
                after_bytes=peaks[1],
                kind=one.result.memory_kind,
            )


def _of(measured: Measured, arm: str) -> Measurement:
    return Measurement(
        pair=measured.pair, arm=arm, setting=setting_of(measured.result), condition=measured.condition
    )
