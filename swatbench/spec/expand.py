"""A suite, and what a machine decided about it, expanded into cells."""

from swatbench.errors import SuiteError
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cells import CostCell, EvaluateCell, Machine, NamedWeights, TrainCell
from swatbench.spec.data import TestSet
from swatbench.spec.recipe import Recipe
from swatbench.spec.suite import Suite


def expand(suite: Suite, machine: Machine, *, cores: int) -> tuple[TrainCell | EvaluateCell | CostCell, ...]:
    """List the cells of a suite: training first, then further tests, then cost, in the order of the file.

    Args:
        suite: The suite.
        machine: What the machine decided.
        cores: CPU cores to measure with where the suite does not say.

    Raises:
        SuiteError: The machine's processes cannot share a batch.
    """
    train = tuple(
        train_cell(suite, machine, pair=pair, arm=arm, seed=seed)
        for pair in suite.pairs
        for seed in suite.seeds
        for arm in suite.arms
    )
    further = tuple(evaluate_cell(cell, test, machine) for cell in train for test in suite.data.further_tests)
    return (*train, *further, *_cost_cells(suite, machine, cores))


def train_cell(suite: Suite, machine: Machine, *, pair: str, arm: str, seed: int) -> TrainCell:
    """The training run of one arm of a pair with one seed.

    Args:
        suite: The suite.
        machine: What the machine decided.
        pair: Name of the pair.
        arm: Name of the arm.
        seed: The seed.

    Raises:
        SuiteError: The machine's processes cannot share a batch.
    """
    recipe = suite.recipe_of(pair)
    return TrainCell(
        pair=suite.row(pair).as_dict(),
        arm=arm,
        parts=parts_of(PAIRS[pair], arm),
        seed=seed,
        data=suite.data,
        recipe=recipe,
        resolution=machine.resolution,
        speed=machine.speed,
        micro_batch_size=_micro_batch_size(recipe, machine.processes),
        streams=max(1, machine.workers) * machine.processes if suite.data.streamed else None,
        threads=suite.execution.threads,
        deterministic=suite.execution.deterministic,
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
    """
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
            resolution=machine.resolution,
            threads=suite.execution.threads,
        )
        for test in (None, *suite.data.further_tests)
    )


def _cost_cells(suite: Suite, machine: Machine, cores: int) -> tuple[CostCell, ...]:
    if suite.cost is None:
        return ()
    return tuple(
        CostCell(
            pair=suite.row(pair).as_dict(),
            arms={arm: parts_of(PAIRS[pair], arm) for arm in suite.arms},
            num_classes=machine.num_classes,
            cost=suite.cost,
            resolution=machine.resolution.model_copy(update={"data_digest": None}),
            threads=suite.cost.threads or cores,
        )
        for pair in suite.pairs
    )


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
