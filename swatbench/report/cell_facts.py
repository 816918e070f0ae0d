"""What a report needs of a cell; a record keeps more, and older ones may keep less."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Row(BaseModel):
    """A row of the catalogue as a record keeps it; columns that a report does not need may come and go."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str


class _Recipe(BaseModel):
    """What a table shows of a recipe."""

    model_config = ConfigDict(frozen=True)

    epochs: int | None = None
    cooldown_epochs: int = 0
    steps_per_epoch: int | None = None

    @property
    def total_epochs(self) -> int | None:
        """Passes over the training images, cool-down included."""
        return None if self.epochs is None else self.epochs + self.cooldown_epochs

    @property
    def iterations(self) -> int | None:
        """Optimizer steps, where the recipe counts in them."""
        if self.total_epochs is None or self.steps_per_epoch is None:
            return None
        return self.total_epochs * self.steps_per_epoch


class _Resolution(BaseModel):
    """What a machine decided, as far as a record tells."""

    model_config = ConfigDict(frozen=True)

    precision: str | None = None


class SegmentationFacts(BaseModel):
    """What a report needs of how a pair's models segment."""

    model_config = ConfigDict(frozen=True)

    head: str
    crop_size: int | None = None


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
    resolution: _Resolution = _Resolution()
    segmentation: SegmentationFacts | None = None
    """None where the pair's models classify."""


class TestFacts(BaseModel):
    """What a report needs of a further test set."""

    __test__ = False
    model_config = ConfigDict(frozen=True)

    name: str
    labels: str = "folders"
    among_its_classes: bool = False


class EvaluateFacts(BaseModel):
    """What a report needs of an evaluate cell."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["evaluate"]
    pair: _Row
    """The catalogue's row, or the name alone."""
    arm: str
    parts: tuple[str, ...] = ()
    seed: int | None = None
    """Seed of the training run; None for weights from elsewhere."""
    weights: str
    """Digest of the training run's cell, or what names weights from elsewhere."""
    test: TestFacts | None = None
    """The further test set; None for the test split."""


class CostFacts(BaseModel):
    """What a report needs of a cost cell."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["cost"]
    pair: _Row
    """The catalogue's row."""
    arms: dict[str, tuple[str, ...]]
    """Arm → its parts."""
    segmentation: SegmentationFacts | None = None
    """None where the pair's models classify."""
