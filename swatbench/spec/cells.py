"""Cells: the smallest units of a suite that are run, stored and resumed on their own.

A train cell is one pair × arm × seed. An evaluate cell is one trained model on one further test set. A cost
cell is one pair: its arms are timed interleaved, so they cannot be measured apart. Everything that can move a
cell's numbers is in its digest; what cannot (the suite's name, the number of parallel jobs) is not.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from swatbench.spec.base import GrownSpec, Spec
from swatbench.spec.cost import Cost, Layout, Mode
from swatbench.spec.data import Data, TestSet
from swatbench.spec.recipe import Recipe
from swatbench.spec.segmentation import Segmentation

PROTOCOL_VERSION = 3
"""Raised whenever a cell that trains or tests would give other numbers than before; in every such digest."""

COST_PROTOCOL_VERSION = 4
"""The same of cells that measure cost; it stands apart, so that measuring otherwise trains nothing anew."""


class Resolution(GrownSpec):
    """What a suite leaves open and a machine decides."""

    _gained: ClassVar[frozenset[str]] = frozenset({"fused_swat"})

    device: Literal["cpu", "cuda"]
    """Where the cells run."""
    precision: Literal["fp32", "bf16", "fp16"]
    """Autocast type."""
    fused_attention: bool
    """Whether timm models are built with fused attention."""
    fused_swat: Literal[True] | None = None
    """Whether structured layers compute by their fused forms; null where they compute as drawn."""
    data_digest: str | None
    """SHA-256 of the images and labels; null in a cost cell, since cost depends on shapes alone."""


class Speed(Spec):
    """The switches of a training run that trade time, memory and the last bits of its numbers."""

    tf32: bool
    """Whether CUDA rounds the factors of float32 products to TF32."""
    channels_last: bool
    """Memory layout of images and convolutions."""
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"]
    """Mode of torch.compile."""
    fused_optimizer: bool
    """Whether an optimizer step is one kernel, where torch has it for the optimizer."""
    gradient_checkpointing: bool
    """Whether blocks are computed again in the backward pass."""


class Machine(Spec):
    """All that a machine decides about a suite: what enters digests, and what only names it."""

    resolution: Resolution
    speed: Speed
    num_classes: int
    """Classes of the data."""
    processes: int = 1
    """Processes that train one model together."""
    workers: int = 0
    """Processes that decode images for one training process."""
    accelerator: str | None = None
    """Name of the CUDA device in use."""


class _Cell(GrownSpec):
    """What all kinds of cells share."""

    _no_facts: ClassVar[dict[str, set[str]]] = {}

    @property
    def facts(self) -> dict[str, Any]:
        """Everything that decides the cell's numbers, as JSON values, for its record and its digest."""
        return self.model_dump(mode="json", exclude=self._no_facts)

    @property
    def digest(self) -> str:
        """SHA-256 of `facts`."""
        text = json.dumps(self.facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


# The folder that holds the images is where they are, not what they are, which data_digest says; and what else
# a model is tested on changes no training.
_NO_PART_OF_TRAINING = {"root", "further_tests", "keep_decoded"}


class TrainCell(_Cell):
    """One training run."""

    _no_facts: ClassVar[dict[str, set[str]]] = {"data": _NO_PART_OF_TRAINING}
    _gained: ClassVar[frozenset[str]] = frozenset({"segmentation", "backbone"})

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
    speed: Speed
    micro_batch_size: int
    """Images in one forward pass."""
    streams: int | None
    """Processes that read shards for all training processes together, on which the order of streamed images
    depends; null for images that are asked for by number."""
    threads: int
    deterministic: bool
    segmentation: Segmentation | None = None
    """How the pair's models segment, with nothing left open; null where they classify."""
    backbone: str | None = None
    """SHA-256 of the file of a classifier's weights that a segmenter's backbone begins with; null for fresh
    ones."""
    protocol_version: int = PROTOCOL_VERSION

    @property
    def id(self) -> str:
        """Name of the cell's folder."""
        return f"{self.pair['name']}-{self.arm}-seed{self.seed}-{self.digest[:10]}"


ELSEWHERE = "elsewhere"
"""Arm of a model that is none of the catalogue's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedWeights:
    """Weights that a user named to be tested.

    Attributes:
        pair: The catalogue's row, or name and input size of a model from elsewhere.
        arm: The arm, or `ELSEWHERE`.
        parts: Parts that the arm applies.
        seed: Seed of the training run, where one is known.
        identity: What names the weights in a record: a file's SHA-256, or timm's or the Hub's name.
        preparation: How the model's images are prepared, where it says so: mean, std, crop_fraction and
            interpolation.
    """

    pair: dict[str, Any]
    arm: str
    parts: tuple[str, ...]
    seed: int | None
    identity: str
    preparation: dict[str, Any]


class EvaluateCell(_Cell):
    """One model on one test set that it was not trained beside."""

    _no_facts: ClassVar[dict[str, set[str]]] = {"data": _NO_PART_OF_TRAINING, "test": {"root"}}
    _gained: ClassVar[frozenset[str]] = frozenset({"segmentation"})

    kind: Literal["evaluate"] = "evaluate"
    pair: dict[str, Any]
    """The catalogue's row, whole; for a model from elsewhere its name alone."""
    arm: str
    parts: tuple[str, ...]
    seed: int | None
    """Seed of the training run; null for weights from elsewhere."""
    weights: str
    """Digest of the train cell whose weights are tested, or what names the weights from elsewhere: a file's
    SHA-256, timm's name and tag, or a Hub id."""
    test: TestSet | None
    """The further test set; null for the test split."""
    data: Data
    segmentation: Segmentation | None = None
    """How the model segments; null where it classifies."""
    resolution: Resolution
    threads: int
    protocol_version: int = PROTOCOL_VERSION

    @property
    def id(self) -> str:
        """Name of the cell's folder."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        test = self.test.name if self.test else "test"
        return f"{_safe(self.pair['name'])}-{self.arm}{seed}-on-{test}-{self.digest[:10]}"


class CostCell(_Cell):
    """The cost of one pair's arms, measured interleaved, in one mode, precision and layout."""

    # What a cell resolves for itself is no part of what `cost` leaves open or lists; and how a segmenter is
    # trained and tested is no part of what it costs.
    _no_facts: ClassVar[dict[str, set[str]]] = {
        "cost": {"threads", "modes", "precisions", "layouts"},
        "segmentation": {"augmentation", "tests", "shown", "short_side", "long_side"},
    }
    _gained: ClassVar[frozenset[str]] = frozenset({"segmentation"})

    kind: Literal["cost"] = "cost"
    pair: dict[str, Any]
    """The catalogue's row, whole; of models from elsewhere a name alone."""
    arms: dict[str, tuple[str, ...]]
    """Arm → the parts that it applies to this pair."""
    reference: str
    """Arm that every ratio is taken to."""
    models: dict[str, str] = Field(default_factory=dict)
    """Arm → what names its model, for an arm that is no arm of the pair."""
    input_size: tuple[int, int, int]
    """C, H and W of the input."""
    num_classes: int
    cost: Cost
    mode: Mode
    layout: Layout
    segmentation: Segmentation | None = None
    """How the pair's models segment; null where they classify."""
    resolution: Resolution
    threads: int
    protocol_version: int = COST_PROTOCOL_VERSION

    @property
    def id(self) -> str:
        """Name of the cell's folder."""
        return f"{_safe(self.pair['name'])}-cost-{self.digest[:10]}"


Cell = Annotated[TrainCell | EvaluateCell | CostCell, Field(discriminator="kind")]


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:100].strip("-.")
