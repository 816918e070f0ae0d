"""What is counted of every arm of a profile: parameters, MACs, memory, largest batch and energy."""

from collections.abc import Callable, Iterator
from typing import get_args

from swatbench.report import words
from swatbench.report.energies import joules
from swatbench.report.profile_table import Line, ProfileTable, table_of
from swatbench.report.selection import Measured
from swatbench.spec.cost import Protocol
from swatbench.store.cost import ArmCost, CostResult, LargestBatch

_KINDS = {
    "resident growth": "growth of the resident set of a fresh process; coarse, parts need not add up",
    "allocated": "bytes that torch allocated on the device, in a fresh process",
}
_MEMORY = (
    ("peak_bytes", "peak", "above that before the model"),
    ("reserved_bytes", "reserved", "most that torch's allocator took"),
    ("weights_bytes", "weights", "parameters and buffers"),
    ("gradients_bytes", "gradients", "between backward and step"),
    ("optimizer_bytes", "optimizer", "state of AdamW"),
    ("saved_bytes", "saved", "activations for backward"),
    ("working_bytes", "working", "a call's peak above its rest"),
)


def counts_table(measured: Measured, title: str) -> ProfileTable:
    """Parameters, MACs and activations.

    Args:
        measured: The measurement.
        title: What stands above it.
    """
    batch = words.count(measured.result.batch_size, "image")
    lines = (
        Line(name="parameters", meaning="weights and biases", value=_of("params"), show=words.whole),
        Line(
            name="trained",
            meaning="those of them that are trained",
            value=_of("params_trainable"),
            show=words.whole,
        ),
        Line(
            name="MACs, 1 image",
            meaning="multiply-adds, forward (fvcore)",
            value=_of("macs"),
            show=words.quantity,
        ),
        Line(
            name="MACs, training",
            meaning=f"forward + backward, {batch} (torch)",
            value=_of("training_macs"),
            show=words.quantity,
        ),
        Line(
            name="two counters",
            meaning="fvcore and torch: products, convolutions",
            value=_of("macs_agree"),
            show=lambda agree: "agree" if agree else "do NOT agree",
            compared=False,
        ),
        Line(
            name="activations",
            meaning="elements put out by them, 1 image",
            value=_of("activations"),
            show=words.quantity,
        ),
    )
    return table_of(title, measured, lines)


def memory_table(measured: Measured) -> ProfileTable:
    """Memory of both protocols and the largest batch."""
    result = measured.result
    title = f"Memory: {_KINDS[result.memory_kind]}; measured once"
    limits = dict.fromkeys(limit for protocol in get_args(Protocol) for limit in _limits(result, protocol))
    if limits and len(result.arms) > 2:  # no column says it then
        title = f"{title}\nLargest batch: images that fit into {' or '.join(limits)}"
    return table_of(
        title, measured, [*_memory_lines("inference"), *_memory_lines("training"), *_largest(measured)]
    )


def energy_table(measured: Measured) -> ProfileTable:
    """Energy of an image, or why there is none."""
    if not any(cost.energy for cost in measured.result.arms):
        why = measured.result.energy_absent or "the record does not say why"
        return ProfileTable(title="Energy", columns=("", "why"), rows=(("not measured", why),))
    title = "Energy of an image, by the card's counter (NVML): median window, idle power included"
    return table_of(title, measured, map(_energy_line, ("inference", "training")))


def _of(name: str) -> Callable[[ArmCost], int | None]:
    return lambda cost: getattr(cost, name)


def _memory_lines(protocol: Protocol) -> Iterator[Line]:
    for name, word, meaning in _MEMORY:
        yield Line(
            name=f"{protocol}, {word}", meaning=meaning, value=_bytes_of(protocol, name), show=words.size
        )


def _bytes_of(protocol: Protocol, name: str) -> Callable[[ArmCost], int | None]:
    if name == "peak_bytes":  # older records have the peak alone
        return lambda cost: cost.peak_bytes(protocol)
    return lambda cost: getattr(cost.memory(protocol), name, None)


def _largest(measured: Measured) -> Iterator[Line]:
    for protocol in ("inference", "training"):
        limits = _limits(measured.result, protocol)
        yield Line(
            name=f"largest batch, {protocol}",
            meaning=f"images that fit into {' or '.join(limits)}",
            value=_largest_of(protocol),
            show=lambda found: f"{words.whole(found.batch_size)}{_further(found)}",
            compared=False,
        )


def _limits(result: CostResult, protocol: Protocol) -> dict[str, None]:
    """What the largest batches had to fit into, each once."""
    found = (one for cost in result.arms for one in cost.largest_batches if one.protocol == protocol)
    return dict.fromkeys(words.size(one.limit_bytes) for one in found)


def _largest_of(protocol: Protocol) -> Callable[[ArmCost], LargestBatch | None]:
    return lambda cost: next((one for one in cost.largest_batches if one.protocol == protocol), None)


def _further(found: LargestBatch) -> str:
    return " or more" if found.bounded_by == "search" else ""


def _energy_line(protocol: Protocol) -> Line:
    meaning = "forward" if protocol == "inference" else "forward, backward, optimizer"
    return Line(name=protocol, meaning=meaning, value=lambda cost: joules(cost, protocol), show=words.energy)
