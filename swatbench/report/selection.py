"""Which records a report can use: finished ones whose cell says what a report needs of it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from swatbench.store.files import Stored
from swatbench.store.record import CostResult, TrainResult


class _Row(BaseModel):
    """A row of the catalogue as a record keeps it; columns that a report does not need may come and go."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str


class _Recipe(BaseModel):
    """What a table shows of a recipe."""

    model_config = ConfigDict(frozen=True)

    epochs: int | None = None


class TrainFacts(BaseModel):
    """What a report needs of a training cell; a record keeps more, and older ones may keep less."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["train"]
    pair: _Row
    """The catalogue's row."""
    arm: str
    parts: tuple[str, ...]
    seed: int
    recipe: _Recipe


class CostFacts(BaseModel):
    """What a report needs of a cost cell."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["cost"]
    pair: _Row
    """The catalogue's row."""
    arms: dict[str, tuple[str, ...]]
    """Arm → its parts."""


# Not the specs themselves: a record keeps the facts of a cell, which lack fields that a suite must state
# (where the images lie, for one), and must stay readable when the specs grow.
_CELL: TypeAdapter[TrainFacts | CostFacts] = TypeAdapter(
    Annotated[TrainFacts | CostFacts, Field(discriminator="kind")]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished training run.

    Attributes:
        stored: The record on disk.
        cell: What was asked.
        result: What came out.
    """

    stored: Stored
    cell: TrainFacts
    result: TrainResult

    @property
    def pair(self) -> str:
        """Name of the pair."""
        return self.cell.pair.name

    @property
    def configuration(self) -> str:
        """Digest of everything but the seed: equal for cells that may be averaged."""
        facts = {key: value for key, value in self.stored.record.cell.items() if key != "seed"}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A finished cost measurement.

    Attributes:
        stored: The record on disk.
        cell: What was asked.
        result: What came out.
    """

    stored: Stored
    cell: CostFacts
    result: CostResult

    @property
    def pair(self) -> str:
        """Name of the pair."""
        return self.cell.pair.name

    @property
    def configuration(self) -> str:
        """Digest of the cell."""
        return self.stored.record.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class WellFormed:
    """Finished records, parsed.

    Attributes:
        trained: Training runs.
        measured: Cost measurements.
        malformed: Files that parse as records but do not hold together, and why.
    """

    trained: tuple[Trained, ...]
    measured: tuple[Measured, ...]
    malformed: tuple[tuple[Path, str], ...]


def parse(finished: Iterable[Stored]) -> WellFormed:
    """Parse the cells of finished records, and set aside those that do not hold together."""
    trained: list[Trained] = []
    measured: list[Measured] = []
    malformed: list[tuple[Path, str]] = []
    for stored in finished:
        match _parse_one(stored):
            case Trained() as item:
                trained.append(item)
            case Measured() as item:
                measured.append(item)
            case str(why):
                malformed.append((stored.folder / "record.json", why))
    return WellFormed(trained=tuple(trained), measured=tuple(measured), malformed=tuple(malformed))


def _parse_one(stored: Stored) -> Trained | Measured | str:
    record = stored.record
    try:
        cell = _CELL.validate_python(record.cell)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"its cell cannot be understood: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(cell, TrainFacts) and record.train:
        return Trained(stored=stored, cell=cell, result=record.train)
    if isinstance(cell, CostFacts) and record.cost:
        return Measured(stored=stored, cell=cell, result=record.cost)
    return f"a finished {cell.kind} cell without a result"
