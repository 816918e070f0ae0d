"""A suite expanded into cells: the smallest units that are run, stored and resumed on their own.

A train cell is one pair × arm × seed. A cost cell is one pair: its arms are timed interleaved, so they cannot
be measured apart. Everything that can move a cell's numbers is in its digest; what cannot (the suite's name,
the number of parallel jobs) is not.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field

from swatbench.spec.base import Spec
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.suite import Cost, Data, Recipe, Suite

PROTOCOL_VERSION = 2
"""Raised whenever the same cell would give other numbers than before; a part of every digest."""


class Resolution(Spec):
    """What a suite leaves open and a machine decides."""

    device: Literal["cpu", "cuda"]
    """Where the cells run."""
    precision: Literal["fp32", "bf16"]
    """Autocast type."""
    fused_attention: bool
    """Whether timm models are built with fused attention."""
    data_digest: str | None
    """SHA-256 of the images and labels; null in a cost cell, since cost depends on shapes alone."""


class TrainCell(Spec):
    """One training run."""

    kind: Literal["train"] = "train"
    pair: dict[str, Any]
    """The catalogue's row, whole."""
    arm: str
    parts: tuple[str, ...]
    """Parts that the arm applies to this pair."""
    seed: int
    data: Data
    recipe: Recipe
    resolution: Resolution
    threads: int
    deterministic: bool
    protocol_version: int = PROTOCOL_VERSION

    @property
    def facts(self) -> dict[str, Any]:
        """Everything that decides the cell's numbers, as JSON values, for its record and its digest."""
        # The folder that holds the images is where they are, not what they are; data_digest says that.
        return self.model_dump(mode="json", exclude={"data": {"root"}})

    @property
    def digest(self) -> str:
        """SHA-256 of `facts`."""
        return _digest(self.facts)

    @property
    def id(self) -> str:
        """Name of the cell's folder."""
        return f"{self.pair['name']}-{self.arm}-seed{self.seed}-{self.digest[:10]}"


class CostCell(Spec):
    """The cost of one pair's arms, measured interleaved."""

    kind: Literal["cost"] = "cost"
    pair: dict[str, Any]
    """The catalogue's row, whole."""
    arms: dict[str, tuple[str, ...]]
    """Arm → the parts that it applies to this pair; the first one is the reference of every ratio."""
    num_classes: int
    cost: Cost
    resolution: Resolution
    threads: int
    protocol_version: int = PROTOCOL_VERSION

    @property
    def facts(self) -> dict[str, Any]:
        """Everything that decides the cell's numbers, as JSON values, for its record and its digest."""
        # `threads` is the resolved number, so null and that number in `cost` ask for the same.
        return self.model_dump(mode="json", exclude={"cost": {"threads"}})

    @property
    def digest(self) -> str:
        """SHA-256 of `facts`."""
        return _digest(self.facts)

    @property
    def id(self) -> str:
        """Name of the cell's folder."""
        return f"{self.pair['name']}-cost-{self.digest[:10]}"


Cell = Annotated[TrainCell | CostCell, Field(discriminator="kind")]


def expand(
    suite: Suite, resolution: Resolution, *, num_classes: int, cores: int
) -> tuple[TrainCell | CostCell, ...]:
    """List the cells of a suite: training first, then cost, in the order of the file.

    Args:
        suite: The suite.
        resolution: What the machine decided.
        num_classes: Classes of the dataset.
        cores: CPU cores to measure with where the suite does not say.
    """
    train = tuple(
        TrainCell(
            pair=suite.row(pair).as_dict(),
            arm=arm,
            parts=parts_of(PAIRS[pair], arm),
            seed=seed,
            data=suite.data,
            recipe=suite.recipe,
            resolution=resolution,
            threads=suite.execution.threads,
            deterministic=suite.execution.deterministic,
        )
        for pair in suite.pairs
        for seed in suite.seeds
        for arm in suite.arms
    )
    if suite.cost is None:
        return train
    cost = tuple(
        CostCell(
            pair=suite.row(pair).as_dict(),
            arms={arm: parts_of(PAIRS[pair], arm) for arm in suite.arms},
            num_classes=num_classes,
            cost=suite.cost,
            resolution=resolution.model_copy(update={"data_digest": None}),
            threads=suite.cost.threads or cores,
        )
        for pair in suite.pairs
    )
    return train + cost


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
