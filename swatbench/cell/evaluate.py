"""An evaluate cell: a trained model, or one from elsewhere, on a test set that it was not trained beside."""

from typing import Any

from swatbench.cell.batches import test_batches
from swatbench.cell.machine import device_of, prepare
from swatbench.cell.scores import Models, score
from swatbench.cell.weights import weights_of
from swatbench.data.files import FileDataset
from swatbench.data.further import FurtherTest, open_test_set
from swatbench.data.sources import load_dataset
from swatbench.data.workers import explaining_workers
from swatbench.job import Job
from swatbench.processes import Say
from swatbench.spec.catalog import PAIRS, model_name
from swatbench.spec.cells import ELSEWHERE, EvaluateCell
from swatbench.store.record import EvaluationResult
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
    batches = test_batches(
        cell,
        dataset,
        split=further.files if further else None,
        world=world,
        workers=job.workers,
        stall_s=job.execution.stall_s,
    )
    test = "test" if cell.test is None else cell.test.name
    device = device_of(cell.resolution, world)
    models: Models = {
        weights: model.to(device)
        for weights, model in weights_of(
            job, cell, num_classes=len(dataset.classes), on_note=lambda note: say(("note", note))
        )
    }
    say(("stage", f"testing {' and '.join(models)} weights on {test}"))
    scores = score(cell, models, batches, dataset, world, **_asked(further))
    result = EvaluationResult(
        test=test,
        model=_title(cell),
        params=sum(value.numel() for value in next(iter(models.values())).parameters()),
        evaluated=scores.evaluated,
    )
    return {"evaluation": result, "files": scores.write(job) if world.first else {}}


def _asked(further: FurtherTest | None) -> dict[str, Any]:
    return {} if further is None else {"allowed": further.allowed, "real": further.real}


def _title(cell: EvaluateCell) -> str:
    if cell.arm == ELSEWHERE:
        return str(cell.pair["name"])
    return model_name(PAIRS[cell.pair["name"]], cell.arm)
