"""Which records a report can use: finished ones whose cell says what a report needs of it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from swatbench.errors import StoreError
from swatbench.report.cell_facts import CostFacts, EvaluateFacts, TrainFacts
from swatbench.report.conditions import Called, calls_of, condition_of
from swatbench.report.metric import MIOU, TOP1, Metric, metric_of
from swatbench.report.segmenting import first_test
from swatbench.store.cost import ArmCost, CostResult
from swatbench.store.files import Stored
from swatbench.store.record import EvaluationResult, TrainResult

TEST_SPLIT = "test"
"""What the test split is called beside further test sets."""

BACKBONE = "backbone"
"""Key of a cell with the SHA-256 of the weights that a segmenter's backbone begins with."""


# Not the specs themselves: a record keeps the facts of a cell, which lack fields that a suite must state
# (where the images lie, for one), and must stay readable when the specs grow.
_CELL: TypeAdapter[TrainFacts | EvaluateFacts | CostFacts] = TypeAdapter(
    Annotated[TrainFacts | EvaluateFacts | CostFacts, Field(discriminator="kind")]
)


CellT = TypeVar("CellT", TrainFacts, EvaluateFacts, CostFacts)
ResultT = TypeVar("ResultT", TrainResult, EvaluationResult, CostResult)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finished(Generic[CellT, ResultT]):
    """A finished record.

    Attributes:
        stored: The record on disk.
        cell: What was asked.
        result: What came out.
    """

    stored: Stored
    cell: CellT
    result: ResultT

    @property
    def pair(self) -> str:
        """Name of the pair."""
        return self.cell.pair.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(_Finished[TrainFacts, TrainResult]):
    """A finished training run."""

    @property
    def configuration(self) -> str:
        """Digest of everything but the seed: equal for cells that may be averaged.

        Of the weights that a segmenter's backbone begins with, which each seed may have of its own, it counts
        whether there are any.
        """
        return _digest_without(self.stored, {"seed"})

    @property
    def metric(self) -> Metric:
        """What its arms are compared by."""
        return metric_of(self.result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested(_Finished[EvaluateFacts, EvaluationResult]):
    """A finished test of a trained model on images that it was not trained beside."""

    @property
    def test(self) -> str:
        """Name of the test set."""
        return self.cell.test.name if self.cell.test else TEST_SPLIT

    @property
    def configuration(self) -> str:
        """Digest of everything but the seed, and of whose weights they are: equal for tests of one kind."""
        return _digest_without(self.stored, {"seed", "weights"})

    @property
    def metric(self) -> Metric:
        """What its arms are compared by."""
        return metric_of(self.result.evaluated[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(_Finished[CostFacts, CostResult]):
    """A finished cost measurement."""

    @property
    def configuration(self) -> str:
        """Digest of the cell."""
        return self.stored.record.digest

    @property
    def metric(self) -> Metric:
        """What its arms would be compared by."""
        return TOP1 if self.cell.segmentation is None else MIOU

    @property
    def condition(self) -> str:
        """Precision, mode and layout in words; measurements of a pair in one condition replace each other."""
        return condition_of(self.result)

    def cost(self, arm: str | None) -> ArmCost | None:
        """Cost of this arm, where it was measured."""
        return next((cost for cost in self.result.arms if cost.arm == arm), None)

    def calls(self, arm: str | None) -> tuple[Called, ...]:
        """Calls of this arm that were timed, at every batch size."""
        cost = self.cost(arm)
        return calls_of(cost, self.result) if cost else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WellFormed:
    """Finished records, parsed.

    Attributes:
        trained: Training runs.
        tested: Trained models on further test sets.
        measured: Cost measurements.
        malformed: Files that parse as records but do not hold together, and why.
    """

    trained: tuple[Trained, ...]
    tested: tuple[Tested, ...]
    measured: tuple[Measured, ...]
    malformed: tuple[tuple[Path, str], ...] = ()

    @property
    def stored(self) -> tuple[Stored, ...]:
        """The records on disk."""
        return tuple(item.stored for item in (*self.trained, *self.tested, *self.measured))

    def where(self, keep: Callable[[Stored], bool]) -> "WellFormed":
        """Those records alone for which `keep` holds."""
        return WellFormed(
            trained=tuple(item for item in self.trained if keep(item.stored)),
            tested=tuple(item for item in self.tested if keep(item.stored)),
            measured=tuple(item for item in self.measured if keep(item.stored)),
        )


def parse(finished: Iterable[Stored]) -> WellFormed:
    """Parse the cells of finished records, and set aside those that do not hold together."""
    parsed = [(stored, _parse_one(stored)) for stored in finished]
    return WellFormed(
        trained=tuple(item for _, item in parsed if isinstance(item, Trained)),
        tested=tuple(item for _, item in parsed if isinstance(item, Tested)),
        measured=tuple(item for _, item in parsed if isinstance(item, Measured)),
        malformed=tuple(
            (stored.folder / "record.json", why) for stored, why in parsed if isinstance(why, str)
        ),
    )


def _parse_one(stored: Stored) -> Trained | Tested | Measured | str:
    record = stored.record
    try:
        cell = _CELL.validate_python(record.cell)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"its cell cannot be understood: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    match cell:
        case TrainFacts() if record.train:
            return _unlike(cell, record.train, record.cell) or Trained(
                stored=stored, cell=cell, result=record.train
            )
        case EvaluateFacts() if record.evaluation:
            return Tested(stored=stored, cell=cell, result=record.evaluation)
        case CostFacts() if record.cost:
            return _unreadable(stored) or Measured(stored=stored, cell=cell, result=record.cost)
    return f"a finished {cell.kind} cell without a result"


def _unlike(facts: TrainFacts, result: TrainResult, cell: Mapping[str, Any]) -> str:
    """In what a run's result is not what its cell asks for, where it is of masks."""
    if (facts.segmentation is None) != (result.miou_percent is None):
        return "its cell and its result are not of one task"
    if result.inference != first_test(cell).get("name"):
        return "its score is not of the first way of testing that its cell asks for"
    return ""


def _unreadable(stored: Stored) -> str:
    """What is wrong with the rows beside a measurement, though they are those it was written with."""
    try:
        stored.modules()
        stored.breakdown()
    except StoreError as error:
        return error.what
    return ""


def _digest_without(stored: Stored, keys: set[str]) -> str:
    facts = {key: value for key, value in stored.record.cell.items() if key not in keys}
    if BACKBONE in facts:
        facts[BACKBONE] = facts[BACKBONE] is not None
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
