"""A suite, and what a machine decided about it, expanded into cells."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from swatbench.errors import SuiteError
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cells import ELSEWHERE, CostCell, EvaluateCell, Machine, NamedWeights, TrainCell
from swatbench.spec.cost import Cost
from swatbench.spec.data import TestSet
from swatbench.spec.paired import PairedSuite
from swatbench.spec.recipe import Recipe
from swatbench.spec.segmentation import Segmentation
from swatbench.spec.suite import ProfileSuite, Suite

NO_BACKBONES: Mapping[tuple[str, str, int], str] = MappingProxyType({})


def expand(
    suite: Suite | ProfileSuite,
    machine: Machine,
    *,
    cores: int,
    backbones: Mapping[tuple[str, str, int], str] = NO_BACKBONES,
) -> tuple[TrainCell | EvaluateCell | CostCell, ...]:
    """List the cells of a suite: training first, then further tests, then cost, in the order of the file.

    Args:
        suite: The suite.
        machine: What the machine decided.
        cores: CPU cores to measure with where the suite does not say.
        backbones: Pair, arm and seed → SHA-256 of the weights that its backbone begins with.

    Raises:
        SuiteError: The machine's processes cannot share a batch.
    """
    if isinstance(suite, ProfileSuite):
        return _cost_cells(suite, suite.cost, machine, cores, suite.input_size)
    train = tuple(
        train_cell(suite, machine, pair=pair, arm=arm, seed=seed, backbone=backbones.get((pair, arm, seed)))
        for pair in suite.pairs
        for seed in suite.seeds
        for arm in suite.arms
    )
    further = tuple(evaluate_cell(cell, test, machine) for cell in train for test in suite.data.further_tests)
    cost = () if suite.cost is None else _cost_cells(suite, suite.cost, machine, cores)
    return (*train, *further, *cost)


def train_cell(
    suite: Suite, machine: Machine, *, pair: str, arm: str, seed: int, backbone: str | None = None
) -> TrainCell:
    """The training run of one arm of a pair with one seed.

    Args:
        suite: The suite.
        machine: What the machine decided.
        pair: Name of the pair.
        arm: Name of the arm.
        seed: The seed.
        backbone: SHA-256 of the weights that the backbone begins with; None for fresh ones.

    Raises:
        SuiteError: The machine's processes cannot share a batch.
    """
    recipe = suite.recipe_of(pair)
    micro_batch_size = _micro_batch_size(recipe, machine.processes)
    segmentation = suite.segmentation_of(pair)
    if segmentation and not segmentation.trains_on(micro_batch_size):
        raise SuiteError(
            "Batch norm of a map that is pooled to one pixel cannot train on one image at a time.",
            where="recipe.micro_batch_size",
            fix="Let each process take two images or more, or write segmentation.norm: groupnorm.",
        )
    return TrainCell(
        pair=suite.row(pair).as_dict(),
        arm=arm,
        parts=parts_of(PAIRS[pair], arm),
        seed=seed,
        data=suite.data,
        recipe=recipe,
        resolution=machine.resolution,
        speed=machine.speed,
        micro_batch_size=micro_batch_size,
        streams=max(1, machine.workers) * machine.processes if suite.data.streamed else None,
        threads=suite.execution.threads,
        deterministic=suite.execution.deterministic,
        segmentation=segmentation,
        backbone=backbone,
    )


def evaluate_cell(cell: TrainCell, test: TestSet, machine: Machine) -> EvaluateCell:
    """The test of a trained model on a further set.

    Args:
        cell: The training run whose weights are tested.
        test: The set.
        machine: What the machine decided.
    """
    return EvaluateCell(
        pair=cell.pair,
        arm=cell.arm,
        parts=cell.parts,
        seed=cell.seed,
        weights=cell.digest,
        test=test,
        data=cell.data,
        resolution=machine.resolution,
        threads=cell.threads,
    )


def named_cells(suite: Suite, machine: Machine, named: NamedWeights) -> tuple[EvaluateCell, ...]:
    """The tests of weights that a user named: on the test split and on every further set.

    Args:
        suite: Says what to test on.
        machine: What the machine decided.
        named: The weights.

    Raises:
        SuiteError: The suite segments, and the weights are of none of the catalogue's models.
    """
    segmentation = None
    if suite.segmentation is not None:
        if named.arm == ELSEWHERE:
            raise SuiteError(
                "This suite tests segmenters, and these weights are of a classifier from elsewhere.",
                where="segmentation",
                fix="Name a file of weights that such a suite has trained.",
            )
        segmentation = suite.segmentation.of(PAIRS[named.pair["name"]])
    data = suite.data.model_copy(update=named.preparation if suite.data.opened_by_timm else {})
    return tuple(
        EvaluateCell(
            pair=named.pair,
            arm=named.arm,
            parts=named.parts,
            seed=named.seed,
            weights=named.identity,
            test=test,
            data=data,
            segmentation=segmentation,
            resolution=machine.resolution,
            threads=suite.execution.threads,
        )
        for test in (None, *suite.data.further_tests)
    )


def cost_cells(
    pair: dict[str, Any],
    arms: dict[str, tuple[str, ...]],
    *,
    cost: Cost,
    machine: Machine,
    cores: int,
    input_size: tuple[int, int, int],
    models: dict[str, str] | None = None,
    segmentation: Segmentation | None = None,
) -> tuple[CostCell, ...]:
    """The measurements of one pair: one for each mode, precision and layout.

    Args:
        pair: The catalogue's row, or the name alone of models from elsewhere.
        arms: Arm → its parts; the first is the reference.
        cost: What to measure.
        machine: What the machine decided.
        cores: CPU cores to measure with where `cost` does not say.
        input_size: C, H and W of the input.
        models: Arm → what names its model, for an arm that is no arm of the pair.
        segmentation: How the models segment; None where they classify.
    """
    resolution = machine.resolution.model_copy(update={"data_digest": None})
    return tuple(
        CostCell(
            pair=pair,
            arms=arms,
            reference=next(iter(arms)),
            models=models or {},
            input_size=input_size,
            num_classes=machine.num_classes,
            cost=cost,
            mode=mode,
            layout=layout,
            segmentation=segmentation,
            resolution=resolution.model_copy(update={"precision": precision}),
            threads=cost.threads or cores,
        )
        for precision, layout, mode in cost.conditions(resolution.precision)
    )


def _cost_cells(
    suite: PairedSuite, cost: Cost, machine: Machine, cores: int, size: tuple[int, int] | None = None
) -> tuple[CostCell, ...]:
    return tuple(
        cell
        for pair in suite.pairs
        for cell in cost_cells(
            suite.row(pair).as_dict(),
            {arm: parts_of(PAIRS[pair], arm) for arm in suite.arms},
            cost=cost,
            machine=machine,
            cores=cores,
            input_size=(3, *(size or _own_size(suite, pair))),
            segmentation=suite.segmentation_of(pair),
        )
    )


def _own_size(suite: PairedSuite, pair: str) -> tuple[int, int]:
    side = suite.segmentation.crop_size if suite.segmentation else PAIRS[pair].img_size
    return side, side


def _micro_batch_size(recipe: Recipe, processes: int) -> int:
    together = (recipe.micro_batch_size or 1) * processes
    if recipe.batch_size % together:
        alone = f"{processes} processes" if processes > 1 else "one process"
        with_micro = f" with micro-batches of {recipe.micro_batch_size}" if recipe.micro_batch_size else ""
        raise SuiteError(
            f"A batch of {recipe.batch_size} images cannot be shared by {alone}{with_micro}.",
            where="recipe.batch_size",
            fix=f"Choose a multiple of {together}.",
        )
    return recipe.micro_batch_size or recipe.batch_size // processes
