"""An evaluate cell: a trained model, or one from elsewhere, on a test set that it was not trained beside."""

from typing import Any

from torch import nn

from swatbench.cell.machine import device_of, prepare
from swatbench.cell.testing import test_batches
from swatbench.cell.weights import weights_of
from swatbench.data.files import FileDataset
from swatbench.data.further import FurtherTest, open_test_set
from swatbench.data.images import Dataset
from swatbench.data.sources import load_dataset
from swatbench.data.workers import explaining_workers
from swatbench.job import Job
from swatbench.processes import Say
from swatbench.spec.catalog import PAIRS, model_name
from swatbench.spec.cells import ELSEWHERE, EvaluateCell
from swatbench.store.files import PREDICTIONS, PREDICTIONS_RAW, write_arrays
from swatbench.store.record import EvaluationResult
from swatbench.train.evaluate import Evaluation, evaluate
from swatbench.world import World


@explaining_workers()
def evaluate_weights(job: Job, cell: EvaluateCell, say: Say, world: World) -> dict[str, Any]:
    """Test the weights of a cell, and write one row of predictions an image.

    Args:
        job: The cell and its folder.
        cell: The cell.
        say: Told each stage.
        world: The processes that test together.

    Returns:
        Fields of the record.
    """
    prepare(cell.threads, deterministic=False, tf32=False)
    dataset = load_dataset(cell.data)
    further = None
    if cell.test is not None:
        assert isinstance(dataset, FileDataset), "the spec lets no other dataset have further tests"
        further = open_test_set(cell.test, dataset)
    test = "test" if cell.test is None else cell.test.name
    written, evaluated, params = {}, [], 0
    files = iter((PREDICTIONS, PREDICTIONS_RAW))
    for weights, model in weights_of(job, cell, num_classes=len(dataset.classes)):
        say(("stage", f"testing {weights} weights on {test}"))
        params = sum(value.numel() for value in model.parameters())
        score = _score(job, cell, model.to(device_of(cell.resolution, world)), dataset, further, world)
        file = next(files)
        if world.first:
            written[file] = write_arrays(job.folder, file, score.predictions)
        evaluated.append(score.record(weights, file))
    result = EvaluationResult(test=test, model=_title(cell), params=params, evaluated=tuple(evaluated))
    return {"evaluation": result, "files": written}


def _score(
    job: Job,
    cell: EvaluateCell,
    model: nn.Module,
    dataset: Dataset | FileDataset,
    further: FurtherTest | None,
    world: World,
) -> Evaluation:
    return evaluate(
        model,
        test_batches(job, cell, dataset.test if further is None else further.files, dataset, world),
        device=device_of(cell.resolution, world),
        precision=cell.resolution.precision,
        world=world,
        num_classes=len(dataset.classes),
        allowed=further.allowed if further else None,
        real=further.real if further else None,
    )


def _title(cell: EvaluateCell) -> str:
    if cell.arm == ELSEWHERE:
        return str(cell.pair["name"])
    return model_name(PAIRS[cell.pair["name"]], cell.arm)
