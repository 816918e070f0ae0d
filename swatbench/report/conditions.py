"""In what condition a cost was measured, in words; which comes first; which calls were timed in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swatbench.report import words
from swatbench.report.table import Column
from swatbench.spec.cost import Layout, Mode, Protocol
from swatbench.store.cost import ArmCost, CostResult, Quantiles, Timing, samples_name

PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
"""torch's name of a type → that of a suite."""
MODES: Mapping[Mode, str] = {"eager": "eager", "compiled": "compiled", "cuda_graph": "CUDA graph"}
"""Mode → its name in words, in the order of reports."""
LAYOUTS: Mapping[Layout, str] = {"contiguous": "", "channels_last": "channels last"}
"""Memory layout → its name in words; the usual one goes without saying."""
MEMORY_KINDS: Mapping[str, str] = {
    "resident growth": "growth of the peak resident set of a fresh process",
    "allocated": "peak bytes allocated by torch on the device",
}
"""What memory is measured as → that in words."""
CALLS: Mapping[Protocol, str] = {"inference": "forward pass", "training": "training step"}
"""Protocol → what one call of it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A call that was timed.

    Attributes:
        protocol: Whether it is a forward pass or a training step.
        batch_size: Images in it.
        seconds: Summary of its times.
        samples: What stands before the arm in the names of the raw samples.
    """

    protocol: Protocol
    batch_size: int
    seconds: Quantiles
    samples: str


def precision_of(result: CostResult) -> str:
    """Type of the arithmetic, as a suite names it."""
    return PRECISIONS.get(result.dtype, result.dtype)


def condition_of(result: CostResult) -> str:
    """Precision, mode and layout in words, as `fp32, eager`."""
    return ", ".join((precision_of(result), *_asked_for(result)))


def is_plain(result: CostResult) -> bool:
    """Whether the models ran op by op in the usual layout, as they do where nothing else is asked for."""
    return result.mode == "eager" and result.layout == "contiguous"


def place_of(result: CostResult, own: str | None) -> tuple[int, int, bool, int, str]:
    """Where a condition stands among those of a pair: the usual mode, layout and precision come first.

    Args:
        result: What was measured.
        own: Precision in which the pair was trained, or None where it was not.
    """
    precision, known = precision_of(result), [*PRECISIONS.values()]
    rank = known.index(precision) if precision in known else len(known)
    return [*MODES].index(result.mode), [*LAYOUTS].index(result.layout), precision != own, rank, precision


def calls_of(cost: ArmCost, result: CostResult) -> tuple[Called, ...]:
    """The calls of one arm that were timed: forward passes before training steps, small batches before large.

    Args:
        cost: The arm.
        result: The measurement that it is of.
    """
    order = [*CALLS]
    found = {(call.protocol, call.batch_size): call for call in (*_swept(cost), *_own(cost, result))}
    return tuple(sorted(found.values(), key=lambda call: (order.index(call.protocol), call.batch_size)))


def timing_of(result: CostResult, protocol: str, batch_size: int) -> Timing | None:
    """How one protocol was timed at one batch size, where the record tells."""
    found = (timing for timing in result.timings if timing.protocol == protocol)
    return next((timing for timing in found if (timing.batch_size or result.batch_size) == batch_size), None)


def setting_of(result: CostResult, *, without_condition: bool = False) -> str:
    """What a measurement was taken at, in words.

    Args:
        result: The measurement.
        without_condition: Leave out precision, mode and layout, which stand beside it.
    """
    said = [f"batch {result.batch_size} of {input_of(result)}"]
    said += [] if without_condition else [precision_of(result)]
    said += [result.device, words.count(result.threads, "thread")]
    # Where nothing else was asked for, neither mode nor layout is a word worth reading.
    return ", ".join(said if without_condition or is_plain(result) else [*said, *_asked_for(result)])


def condition_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The column that tells conditions apart, where rows are of several.

    Args:
        rows: Rows with a `condition`.
    """
    several = len({row["condition"] for row in rows}) > 1
    return (Column(name="condition", title="Condition"),) if several else ()


def input_of(result: CostResult) -> str:
    """Height and width of the images in pixels, and channels before them where there are not three."""
    return " × ".join(map(str, result.input_size[result.input_size[0] == 3 :]))


def input_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The column that tells sizes of the input apart, where rows are of several.

    Args:
        rows: Rows with an `input`.
    """
    several = len({row["input"] for row in rows}) > 1
    return (Column(name="input", title="Input"),) if several else ()


def input_note(rows: Sequence[Mapping[str, Any]]) -> str:
    """The size of the input, for the note of a table that has no column for it.

    Args:
        rows: Rows with an `input`.
    """
    sizes = {row["input"] for row in rows}
    return f"The input is {sizes.pop()} pixels." if len(sizes) == 1 else ""


def filled(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Columns that hold something in at least one row."""
    empty = (None, "", words.NOTHING)
    return tuple(column for column in columns if any(row.get(column.name) not in empty for row in rows))


def _asked_for(result: CostResult) -> tuple[str, ...]:
    layout = LAYOUTS[result.layout]
    return (MODES[result.mode], layout) if layout else (MODES[result.mode],)


def _own(cost: ArmCost, result: CostResult) -> Iterator[Called]:
    for protocol in CALLS:
        seconds, samples = cost.seconds(protocol), samples_name(protocol)
        if seconds is not None:
            yield Called(protocol=protocol, batch_size=result.batch_size, seconds=seconds, samples=samples)


def _swept(cost: ArmCost) -> Iterator[Called]:
    for swept in cost.sweep:
        yield Called(
            protocol=swept.protocol,
            batch_size=swept.batch_size,
            seconds=swept.seconds,
            samples=samples_name(swept.protocol, swept.batch_size),
        )
