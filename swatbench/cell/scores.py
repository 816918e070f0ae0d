"""A trained model tested: what each kind of weights gives, the files that hold it, and what a record says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import nn

from swatbench.cell.batches import AnyDataset
from swatbench.cell.machine import device_of
from swatbench.data.masks import MaskDataset
from swatbench.job import Job
from swatbench.spec.cells import EvaluateCell, TrainCell
from swatbench.spec.segmentation import Segmentation
from swatbench.store.files import MASKS, PREDICTIONS, PREDICTIONS_RAW, write_arrays
from swatbench.store.record import Evaluated
from swatbench.train.batches import TestBatches
from swatbench.train.evaluate import Evaluation, evaluate
from swatbench.train.score_masks import MaskEvaluation
from swatbench.train.segment import evaluate_masks
from swatbench.world import World

Weights = Literal["ema", "raw"]
Models = Mapping[Weights, nn.Module]
"""Kinds of weights, the one that a record speaks of first, and the model with each."""
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a trained model gives.

    Attributes:
        evaluated: One entry for each kind of weights and way of testing, the headline first.
        fields: What the headline adds to a record of training.
        arrays: File → its arrays, one row an image.
    """

    evaluated: tuple[Evaluated, ...]
    fields: dict[str, Any]
    arrays: dict[str, Arrays]

    def write(self, job: Job) -> dict[str, str]:
        """Write the files beside the record; return the digest of each."""
        return {name: write_arrays(job.folder, name, arrays) for name, arrays in self.arrays.items()}


def score(
    cell: TrainCell | EvaluateCell,
    models: Models,
    batches: TestBatches,
    dataset: AnyDataset,
    world: World,
    **asked: Any,
) -> Scores:
    """Test a model with each kind of weights; all processes call this, and get the same.

    Args:
        cell: The cell.
        models: The models, on the cell's device.
        batches: The test images.
        dataset: The data that they are of.
        world: The processes that test together.
        asked: What a further test set asks of `evaluate` beside: allowed classes, several labels.
    """
    if isinstance(dataset, MaskDataset):
        assert cell.segmentation is not None
        return _of_masks(cell, cell.segmentation, models, batches, dataset, world)
    found: dict[Weights, Evaluation] = {
        weights: evaluate(
            model,
            batches,
            device=device_of(cell.resolution, world),
            precision=cell.resolution.precision,
            world=world,
            num_classes=len(dataset.classes),
            **asked,
        )
        for weights, model in models.items()
    }
    files = dict(zip(found, (PREDICTIONS, PREDICTIONS_RAW), strict=False))
    weights, headline = next(iter(found.items()))
    return Scores(
        evaluated=tuple(one.record(kind, files[kind]) for kind, one in found.items()),
        fields=_fields_of_classes(weights, headline),
        arrays={files[kind]: one.predictions for kind, one in found.items()},
    )


def _fields_of_classes(weights: Weights, headline: Evaluation) -> dict[str, Any]:
    return {
        "weights": weights,
        "test_images": headline.images,
        "correct": headline.correct,
        "top1_percent": headline.top1_percent,
        "top5_percent": headline.top5_percent,
        "test_loss": headline.loss,
    }


def _of_masks(
    cell: TrainCell | EvaluateCell,
    segmentation: Segmentation,
    models: Models,
    batches: TestBatches,
    dataset: MaskDataset,
    world: World,
) -> Scores:
    evaluated: list[Evaluated] = []
    arrays: dict[str, Arrays] = {}
    fields: dict[str, Any] = {}
    shown = tuple(range(min(segmentation.shown, batches.images)))
    for weights, model in models.items():
        for inference in segmentation.tests:
            file = _file_of(
                inference.name, first=inference is segmentation.tests[0], second=weights, of=models
            )
            found = evaluate_masks(
                model,
                batches,
                segmentation=segmentation,
                inference=inference,
                device=device_of(cell.resolution, world),
                precision=cell.resolution.precision,
                world=world,
                num_classes=len(dataset.classes),
                shown=() if evaluated else shown,
            )
            if not evaluated:
                fields = _fields_of_masks(weights, inference.name, found)
                if shown:
                    arrays[MASKS] = dict(_shown(dataset, found))
            evaluated.append(found.record(weights, file))
            arrays[file] = found.counts
    return Scores(evaluated=tuple(evaluated), fields=fields, arrays=arrays)


def _file_of(name: str, *, first: bool, second: Weights, of: Models) -> str:
    """File of what one kind of weights gives in one way of testing."""
    stem = PREDICTIONS.removesuffix(".npz")
    parts = [stem, *([] if first else [name]), *([] if second == next(iter(of)) else ["raw"])]
    return f"{'-'.join(parts)}.npz"


def _fields_of_masks(weights: Weights, name: str, headline: MaskEvaluation) -> dict[str, Any]:
    return {
        "weights": weights,
        "test_images": headline.images,
        "inference": name,
        "miou_percent": headline.miou_percent,
        "mean_accuracy_percent": headline.mean_accuracy_percent,
        "pixel_accuracy_percent": headline.pixel_accuracy_percent,
        "test_loss": headline.loss,
    }


def _shown(dataset: MaskDataset, found: MaskEvaluation) -> Iterator[tuple[str, np.ndarray]]:
    """Images, true masks and predicted ones that a report shows."""
    for index, predicted in found.masks.items():
        image, label = dataset.test.example(index)
        yield f"image_{index}", image
        yield f"label_{index}", label
        yield f"predicted_{index}", predicted
