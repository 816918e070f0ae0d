"""A suite: which pairs are compared, on what data, by which recipe, how often, and at what measured cost."""

from collections.abc import Callable, Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from swatbench.errors import ModelError
from swatbench.spec.base import Name, Spec
from swatbench.spec.catalog import ARMS, FAMILY_PARTS, PAIRS, Pair, parts_of, suggest
from swatbench.spec.cost import Cost, distinct
from swatbench.spec.data import Data
from swatbench.spec.execution import Execution
from swatbench.spec.recipe import Recipe, RecipeChanges
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
OF_MEASURING = frozenset({"device", "precision", "fused_attention"})
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

    def row(self, pair: str) -> Pair:
        """The catalogue's row of a pair, with the suite's structure."""
        return self.structure.of(PAIRS[pair])


class ProfileSuite(PairedSuite):
    """A suite file without data, recipe and seeds: cost is measured, and nothing is trained."""

    num_classes: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Classes of the logits."""
    cost: Cost = Cost()
    """How cost is measured."""

    @model_validator(mode="after")
    def _nothing_of_training(self) -> Self:
        for key in sorted(self.execution.model_fields_set - OF_MEASURING):
            raise ValueError(
                f"execution.{key}: is of training alone, and this suite trains nothing; measuring has "
                "cost.threads, cost.modes, cost.precisions and cost.layouts"
            )
        return self


class Suite(PairedSuite):
    """A suite file that trains."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(distinct)]
    """One training run for each pair, arm and seed."""
    data: Data
    """The images."""
    recipe: Recipe
    """The training recipe."""
    recipe_for: dict[RecipeOwner, RecipeChanges] = Field(default_factory=dict)
    """Family or pair → what it has otherwise; a pair's own goes before its family's."""
    cost: Cost | None = Cost()
    """How cost is measured; null to skip it."""
    equivalence_margin_points: Annotated[float, Field(gt=0, le=100)] | None = None
    """Largest difference in top-1 accuracy, in points, at which an arm counts as accurate as its reference.

    The report then says of every arm whether it is, at a level of 5 %. It must be chosen before results are
    seen; the report tells a margin that was first asked for after the runs it is applied to. Null for no such
    question.
    """

    def recipe_of(self, pair: str) -> Recipe:
        """The recipe of a pair, for all of its arms."""
        recipe = self.recipe
        for owner in (PAIRS[pair].family, pair):
            if owner in self.recipe_for:
                recipe = self.recipe_for[owner].applied(recipe)
        return recipe

    @model_validator(mode="after")
    def _recipes_hold_together(self) -> Self:
        for pair in self.pairs:
            try:
                self.recipe_of(pair)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                raise ValueError(f"recipe_for: {pair}: {first['msg']}") from None
        owners = {*self.pairs, *(PAIRS[pair].family for pair in self.pairs)}
        for owner in self.recipe_for.keys() - owners:
            raise ValueError(f"recipe_for: no pair of this suite is {owner} or of that family")
        return self

    @model_validator(mode="after")
    def _a_batch_can_be_filled(self) -> Self:
        images = self.data.facts.train_images
        for pair in self.pairs:
            wanted = self.recipe_of(pair).batch_size
            if wanted > images:
                owner = next((one for one in (pair, PAIRS[pair].family) if self._states_batch(one)), None)
                key = f"recipe_for.{owner}" if owner else "recipe"
                raise ValueError(
                    f"{key}.batch_size: {wanted} is more than the {images} training images "
                    f"of {self.data.source}"
                )
        return self

    def _states_batch(self, owner: str) -> bool:
        return owner in self.recipe_for and self.recipe_for[owner].batch_size is not None

    @model_validator(mode="after")
    def _images_fit(self) -> Self:
        size = self.data.facts.img_size
        for name in self.pairs:
            wanted = PAIRS[name].img_size
            if size not in (None, wanted):
                raise ValueError(
                    f"pairs: {name} takes images of {wanted} × {wanted} pixels, "
                    f"but those of {self.data.source} are {size} × {size}"
                )
            augmentation = self.recipe_of(name).augmentation
            if size is None and augmentation.crop == "padded":
                raise ValueError(
                    f"recipe.augmentation.crop: must be resized, since images of {self.data.source} "
                    "have any size"
                )
        return self
