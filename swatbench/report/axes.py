"""The costs that accuracy is set against: where a point lies, in what unit, and what points must share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from swatbench.report import words
from swatbench.report.alike import Alike, Setting, grouped, head_measured, measured_in
from swatbench.report.conditions import Called
from swatbench.report.energies import joules
from swatbench.report.points import Point
from swatbench.report.published import Published
from swatbench.spec.cost import Protocol
from swatbench.stats.frontier import frontier


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A cost to plot accuracy against.

    Attributes:
        name: End of the file's name.
        noun: Its name in a sentence.
        unit: Unit of its ticks, with a prefix as needed.
        label: Setting → label of the axis.
        show: Value → text.
        value: Point → its place on the axis, or None where it was not measured.
        setting: Point → what its cost must share with that of others.
        published: Published point → its place, or None where that was not published; None for costs that
            are never.
        more_is_better: Whether a larger value is the better one.
    """

    name: str
    noun: str
    unit: str
    label: Callable[[Setting], str]
    show: Callable[[float], str]
    value: Callable[[Point], float | None]
    setting: Callable[[Point], Setting]
    published: Callable[[Published], float | None] | None = None
    more_is_better: bool = False


Placed = tuple[float, Point]
"""Place on an axis, and the point."""


def placed(axis: Axis, found: Sequence[Point]) -> tuple[Alike[Placed], ...]:
    """Points that have this cost, in groups that were trained and measured alike; the largest group first."""
    shown = [(x, point) for point in found if (x := axis.value(point)) is not None]
    return grouped(shown, lambda item: {**item[1].trained, **axis.setting(item[1])})


def unbeaten(axis: Axis, shown: Sequence[Placed]) -> tuple[Placed, ...]:
    """Those that no other beats in both accuracy and this cost, from the cheapest on.

    Args:
        axis: The cost.
        shown: Points of one group.
    """
    sign = -1 if axis.more_is_better else 1
    kept = frontier([sign * x for x, _ in shown], [point.percent for _, point in shown])
    return tuple(shown[index] for index in kept)


def _called(point: Point, protocol: Protocol) -> list[Called]:
    calls = point.measured.calls(point.arm) if point.measured else ()
    return [call for call in calls if call.protocol == protocol and call.seconds.p50 > 0]


def _latency_s(point: Point) -> float | None:
    calls = _called(point, "inference")
    return min(calls, key=lambda call: call.batch_size).seconds.p50 if calls else None


def _images_per_s(protocol: Protocol) -> Callable[[Point], float | None]:
    def best(point: Point) -> float | None:
        rates = [call.batch_size / call.seconds.p50 for call in _called(point, protocol)]
        return max(rates, default=None)

    return best


def _peak_bytes(protocol: Protocol) -> Callable[[Point], float | None]:
    return lambda point: point.cost.peak_bytes(protocol) if point.cost else None


def _with_batches(protocol: Protocol) -> Callable[[Point], Setting]:
    def setting(point: Point) -> Setting:
        return {**_condition(point), "batches": tuple(call.batch_size for call in _called(point, protocol))}

    return setting


def _with_batch(point: Point) -> Setting:
    return {**_condition(point), "batch_size": point.measured.result.batch_size if point.measured else None}


def _condition(point: Point) -> Setting:
    return measured_in(point.measured) if point.measured else {}


def _input(point: Point) -> Setting:
    if point.measured is None:
        return {}
    return {"input_size": point.measured.result.input_size, **head_measured(point.measured)}


def _nothing(_: Point) -> Setting:
    return {}


def _said(text: str) -> Callable[[Setting], str]:
    return lambda _: text


def _latency_label(setting: Setting) -> str:
    batches = setting["batches"]
    return f"Latency: forward pass of {words.count(min(batches), 'image')} (median)"


def _rate_label(noun: str) -> Callable[[Setting], str]:
    def label(setting: Setting) -> str:
        batches = setting["batches"]
        where = f"best of batches {words.listed([*map(str, batches)])}" if len(batches) > 1 else ""
        return f"{noun}, images/s ({where or f'batch {batches[0]}'})"

    return label


def _batch_label(noun: str) -> Callable[[Setting], str]:
    return lambda setting: f"{noun} at batch {setting['batch_size']}"


AXES = (
    Axis(
        name="macs",
        noun="MACs",
        unit="",
        label=_said("MACs an image"),
        show=words.quantity,
        value=lambda point: point.cost.macs if point.cost else None,
        setting=_input,
        published=lambda point: point.macs,
    ),
    Axis(
        name="params",
        noun="parameters",
        unit="",
        label=_said("Parameters"),
        show=words.quantity,
        value=lambda point: point.params,
        setting=_nothing,
        published=lambda point: point.params,
    ),
    Axis(
        name="latency",
        noun="latency",
        unit="s",
        label=_latency_label,
        show=words.duration,
        value=_latency_s,
        setting=_with_batches("inference"),
    ),
    Axis(
        name="throughput",
        noun="throughput",
        unit="",
        label=_rate_label("Inference"),
        show=lambda value: f"{words.quantity(value)} images/s",
        value=_images_per_s("inference"),
        setting=_with_batches("inference"),
        more_is_better=True,
    ),
    Axis(
        name="training",
        noun="training throughput",
        unit="",
        label=_rate_label("Training"),
        show=lambda value: f"{words.quantity(value)} images/s",
        value=_images_per_s("training"),
        setting=_with_batches("training"),
        more_is_better=True,
    ),
    Axis(
        name="memory",
        noun="memory of inference",
        unit="B",
        label=_batch_label("Peak memory of inference"),
        show=words.size,
        value=_peak_bytes("inference"),
        setting=_with_batch,
    ),
    Axis(
        name="training_memory",
        noun="memory of training",
        unit="B",
        label=_batch_label("Peak memory of training"),
        show=words.size,
        value=_peak_bytes("training"),
        setting=_with_batch,
    ),
    Axis(
        name="energy",
        noun="energy",
        unit="J",
        label=_batch_label("Energy of inference, an image,"),
        show=words.energy,
        value=lambda point: joules(point.cost, "inference") if point.cost else None,
        setting=_with_batch,
    ),
)
"""What accuracy is set against."""

BY_NAME: Mapping[str, Axis] = {axis.name: axis for axis in AXES}
"""Name → axis."""
