"""What every suite says: which pairs are compared, by which arms, as what, and where they run."""

from collections.abc import Callable, Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from swatbench.errors import ModelError
from swatbench.spec.base import Name, Spec
from swatbench.spec.catalog import ARMS, FAMILY_PARTS, PAIRS, Pair, parts_of, suggest
from swatbench.spec.cost import Cost, distinct
from swatbench.spec.execution import Execution
from swatbench.spec.segmentation import Segmentation
from swatbench.spec.structure import Structure


def _known(kind: str, table: Mapping[str, object]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in table:
            raise ValueError(f"unknown {kind} {name!r}. {suggest(name, table)}")
        return name

    return check


PairName = Annotated[
    str, AfterValidator(_known("pair", PAIRS)), Field(json_schema_extra={"enum": [*sorted(PAIRS)]})
]
ArmName = Annotated[str, AfterValidator(_known("arm", ARMS)), Field(json_schema_extra={"enum": [*ARMS]})]
RecipeOwner = Annotated[str, AfterValidator(_known("family or pair", {**FAMILY_PARTS, **PAIRS})), Field()]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Promise(Spec):
    """What the header of a suite promises; a test holds the suite to it."""

    hardware: str
    """The machine that the promised time refers to."""
    wall_time_s: Annotated[float, Field(gt=0)]
    """Expected wall time of the whole run on that machine, in seconds."""
    result: str
    """What the run shows, in one sentence."""
    min_gain_points: float | None = None
    """Smallest gain of SWAT in top-1 accuracy over the baseline, in points, that every pair reaches."""


SINGLE = "models"
"""Name, in place of a suite's, of the folder that measurements of single models lie in."""
OF_MEASURING = frozenset({"device", "precision", "fused_attention", "fused_swat"})
"""Keys of `execution` that measuring follows."""


class PairedSuite(Spec):
    """What every suite file says: which pairs, which arms, where they run."""

    name: Name
    """Name of the folder under `results/` and `reports/`."""
    description: str = ""
    """What the suite asks, for the head of the report."""
    promise: Promise | None = None
    """Expected time, hardware and result."""
    pairs: Annotated[tuple[PairName, ...], Field(min_length=1), AfterValidator(distinct)]
    """Pairs of the catalogue (`swatbench models`)."""
    arms: Annotated[tuple[ArmName, ...], Field(min_length=1), AfterValidator(distinct)] = (
        "baseline",
        "swat",
    )
    """Arms to build for each pair; the first is `baseline`, with which every other is compared.

    Every pair must have them all: `merging` exists in Swin and VAN, `token_mixing` and `mixing` not in VAN,
    `class_token` in DeiT alone.
    """
    structure: Structure = Structure()
    """Other sizes or readings of SWAT than the paper's."""
    segmentation: Segmentation | None = None
    """Semantic segmentation with the pairs as backbones; null for classification."""
    execution: Execution = Execution()
    """Device, precision, threads."""

    @model_validator(mode="after")
    def _name_is_free(self) -> Self:
        if self.name == SINGLE:
            raise ValueError(f"name: {SINGLE} is where measurements of single models lie; choose another")
        return self

    @model_validator(mode="after")
    def _baseline_first(self) -> Self:
        if self.arms[0] != "baseline":
            raise ValueError(f"arms: the first is {self.arms[0]}, but must be baseline, the reference")
        return self

    @model_validator(mode="after")
    def _every_pair_has_every_arm(self) -> Self:
        for name in self.pairs:
            for arm in self.arms:
                try:
                    parts_of(PAIRS[name], arm)
                except ModelError as error:
                    raise ValueError(f"arms: {error}") from error
        return self

    @model_validator(mode="after")
    def _structure_fits(self) -> Self:
        self.structure.check_used([PAIRS[name] for name in self.pairs])
        for name in self.pairs:
            self.row(name)
        return self

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        for name in self.pairs:
            self.segmentation_of(name)
        return self

    def check_cost(self, cost: Cost | None) -> None:
        """Refuse to measure a training step that the suite's segmenters cannot take.

        Raises:
            ValueError: The message starts with the key.
        """
        if self.segmentation is not None and cost is not None:
            self.segmentation.check_cost("cost.batch_size", cost)

    def segmentation_of(self, pair: str) -> Segmentation | None:
        """How a pair becomes a segmenter, with nothing left open; None where it classifies."""
        return self.segmentation.of(PAIRS[pair]) if self.segmentation else None

    def row(self, pair: str) -> Pair:
        """The catalogue's row of a pair, with the suite's structure."""
        return self.structure.of(PAIRS[pair])
