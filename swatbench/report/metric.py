"""The score that the arms of a report are compared by, in words: top-1 accuracy, or in segmentation mIoU."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

Task = Literal["classification", "segmentation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A score and its words.

    Attributes:
        task: What the models do.
        name: The score in short, as `top-1`.
        title: The same at the head of a column, before a unit.
        noun: What is asked about a model, in a sentence and in titles.
        plural: Several of them, at the beginning of a sentence.
        axis: Name of an axis.
        column: Name of the record's field and of the column of a CSV file.
        averaged: The field of a curve that holds the score of the moving average.
        by_class: What is told of one class.
        images: Images that published numbers are of.
    """

    task: Task
    name: str
    title: str
    noun: str
    plural: str
    axis: str
    column: str
    averaged: str
    by_class: str
    images: str

    @property
    def points(self) -> str:
        """Unit of a difference."""
        return f"points {self.name}"

    @property
    def of_masks(self) -> bool:
        """Whether it is that of segmentation."""
        return self.task == "segmentation"


TOP1 = Metric(
    task="classification",
    name="top-1",
    title="Top-1",
    noun="accuracy",
    plural="Accuracies",
    axis="Top-1 accuracy",
    column="top1_percent",
    averaged="ema_top1_percent",
    by_class="top-1",
    images="ImageNet-1k",
)
MIOU = Metric(
    task="segmentation",
    name="mIoU",
    title="mIoU",
    noun="mIoU",
    plural="Values of mIoU",
    axis="Mean IoU",
    column="miou_percent",
    averaged="ema_miou_percent",
    by_class="IoU",
    images="ADE20K",
)


class Scored(Protocol):
    """A result of one of the two tasks."""

    @property
    def miou_percent(self) -> float | None:
        """Mean IoU, or None in classification."""
        ...


class Measuring(Protocol):
    """What is reported of one machine, or anything else with a metric."""

    @property
    def metric(self) -> Metric:
        """What its arms are compared by."""
        ...


def metric_of(result: Scored) -> Metric:
    """What a result is compared by."""
    return TOP1 if result.miou_percent is None else MIOU


def shared_metric(items: Iterable[Measuring]) -> Metric:
    """The metric of several sections: a suite has one task, so the first one's is that of all."""
    return next((item.metric for item in items), TOP1)
