"""The numbers that papers print, for comparison with what was measured here.

Of classification: figure 1 of "Spatial Structure Within and Among Tokens" (IJCAI 2023), read from the figure
and rounded as there; ImageNet-1k at 224 × 224 pixels. Of segmentation: UPerNet on ADE20K's validation images,
with MACs of 512 × 2048 pixels; Swin from Liu et al. 2021 (arXiv:2103.14030), VAN from Guo et al. 2022
(arXiv:2202.09741).
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from swatbench.report import words
from swatbench.report.metric import TOP1, Metric, metric_of

MARK = "†"
"""What leads from a published point to its note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published model.

    Attributes:
        pair: Name of the pair.
        arm: Arm.
        top1_percent: Top-1 accuracy on ImageNet-1k's validation images; None for a segmenter.
        miou_percent: Mean IoU on ADE20K's validation images; None for a classifier.
        macs: Multiply-accumulates of one image's forward pass, or None where they are not told.
        params: Parameters, or None alike.
        input: Height and width in pixels of the image that the MACs are counted for; empty without MACs.
        source: Where it is printed.
        accuracy_note: What is to be known of its accuracy, or nothing.
        params_note: What is odd about its parameters, or nothing.
    """

    pair: str
    arm: str
    top1_percent: float | None
    miou_percent: float | None
    macs: float | None
    params: float | None
    input: str
    source: str
    accuracy_note: str
    params_note: str

    @property
    def score_percent(self) -> float:
        """What models of its task are compared by."""
        score = self.top1_percent if self.miou_percent is None else self.miou_percent
        assert score is not None, "one of the two is published"
        return score


def published_rows(metric: Metric = TOP1) -> tuple[Published, ...]:
    """Read the published points of one task, in the order of the file.

    Args:
        metric: What models of the task are compared by.

    Example:
        >>> [(p.pair, p.arm, p.top1_percent) for p in published_rows()][:2]
        [('mixer_ti', 'baseline', 68.3), ('mixer_ti', 'swat', 72.3)]
    """
    text = files("swatbench.report").joinpath("published.csv").read_text(encoding="utf-8")
    points = (_point(row) for row in csv.DictReader(text.splitlines()))
    return tuple(point for point in points if metric_of(point) == metric)


def published_for(pairs: Iterable[str], metric: Metric = TOP1) -> tuple[Published, ...]:
    """The published points of these pairs.

    Args:
        pairs: Names of pairs.
        metric: What they are compared by: numbers of the other task are none of theirs.
    """
    wanted = set(pairs)
    return tuple(point for point in published_rows(metric) if point.pair in wanted)


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
        top1_percent=_number(row["top1_percent"]),
        miou_percent=_number(row["miou_percent"]),
        macs=_number(row["macs_g"], 1e9),
        params=_number(row["params_m"], 1e6),
        input=row["input"],
        source=row["source"],
        accuracy_note=row["accuracy_note"],
        params_note=row["params_note"],
    )


def _number(text: str, unit: float = 1.0) -> float | None:
    return float(text) * unit if text else None
