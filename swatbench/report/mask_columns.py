"""Columns of tables about segmenters: by which head, in what crops and how their images were tested."""

from collections.abc import Mapping, Sequence
from typing import Any

from swatbench.report import words
from swatbench.report.segmenting import first_test, head_in_words, inference_in_words
from swatbench.report.table import Column

HEAD = Column(name="head", title="Head", show=head_in_words)
"""The head; `UPerNet on four taps` is not the published one."""

MASK_SETTING = (
    HEAD,
    Column(name="crop_size", title="Crop", show=lambda side: f"{side} × {side}"),
    Column(name="inference", title="Tested by"),
    Column(name="tested", title="Test", prose=True),
)
"""How a segmenter was trained and tested."""

MASK_SCORES = (
    Column(name="miou_percent", title="mIoU %", show=words.decimal, numeric=True, link="record"),
    Column(
        name="mean_accuracy_percent", title="Mean accuracy %", show=words.decimal, numeric=True, link="record"
    ),
    Column(
        name="pixel_accuracy_percent",
        title="Pixel accuracy %",
        show=words.decimal,
        numeric=True,
        link="record",
    ),
)
"""What a test of masks gives."""

SCORES_SAID = (
    "mIoU is the mean over classes of intersection over union, of all images' pixels together; mean accuracy "
    "the mean over classes of the share of a class's pixels that are found; pixel accuracy the share of all "
    "labelled pixels whose class is found. Pixels without a label count for nothing."
)


def head_of_row(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The head of a record's cell, for a row; None where its models classify."""
    return {"head": (cell.get("segmentation") or {}).get("head")}


def heads_where_told(rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The column of heads, where rows have any."""
    return (HEAD,) if any(row["head"] is not None for row in rows) else ()


def mask_setting(cell: Mapping[str, Any]) -> dict[str, Any]:
    """How a segmenter was trained and tested, under the names of `MASK_SETTING`."""
    test = first_test(cell)
    crop_size = (cell.get("segmentation") or {}).get("crop_size")
    told = {"crop_size": crop_size, "inference": test.get("name"), "tested": inference_in_words(test)}
    return {**head_of_row(cell), **told}
