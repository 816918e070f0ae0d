"""The numbers that the paper prints, for comparison with what was measured here.

Source: figure 1 of "Spatial Structure Within and Among Tokens" (IJCAI 2023), read from the figure and rounded
as there; ImageNet-1k at 224 × 224 pixels.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from swatbench.report import words

MARK = "†"
"""What leads from a published point to its note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One point of the paper's figure.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        top1_percent: Top-1 accuracy on ImageNet-1k's validation images.
        macs: Multiply-accumulates of one image's forward pass.
        params: Parameters.
        source: Where it is printed.
        accuracy_note: What is to be known of its accuracy, or nothing.
        params_note: What is odd about its parameters, or nothing.
    """

    pair: str
    arm: str
    top1_percent: float
    macs: float
    params: float
    source: str
    accuracy_note: str
    params_note: str


def published_rows() -> tuple[Published, ...]:
    """Read all published points, in the order of the file.

    Example:
        >>> [(p.pair, p.arm, p.top1_percent) for p in published_rows()][:2]
        [('mixer_ti', 'baseline', 68.3), ('mixer_ti', 'swat', 72.3)]
    """
    text = files("swatbench.report").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_point(row) for row in csv.DictReader(text.splitlines()))


def published_for(pairs: Iterable[str]) -> tuple[Published, ...]:
    """The published points of these pairs."""
    wanted = set(pairs)
    return tuple(point for point in published_rows() if point.pair in wanted)


def footnotes(points: Iterable[Published], *, params: bool = False) -> str:
    """What is to be known of published points, as a sentence behind the mark; an empty text without any.

    Args:
        points: Published points.
        params: Whether their parameters are shown.
    """
    notes: dict[str, list[str]] = {}
    for point in points:
        for note in notes_of(point, params=params):
            notes.setdefault(note, []).append(f"{point.pair} {point.arm}")
    told = "; ".join(f"{words.listed(names)}: {note}" for note, names in notes.items())
    return f"{MARK} {told}." if told else ""


def notes_of(point: Published, *, params: bool) -> tuple[str, ...]:
    """The notes of one published point.

    Args:
        point: The point.
        params: Whether its parameters are shown.
    """
    said = f"parameters {point.params_note}" if point.params_note else ""
    return tuple(filter(None, (point.accuracy_note, said if params else "")))


def _point(row: dict[str, str]) -> Published:
    return Published(
        pair=row["pair"],
        arm=row["arm"],
        top1_percent=float(row["top1_percent"]),
        macs=float(row["macs_g"]) * 1e9,
        params=float(row["params_m"]) * 1e6,
        source=row["source"],
        accuracy_note=row["accuracy_note"],
        params_note=row["params_note"],
    )
