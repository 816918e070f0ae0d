"""A suite: which pairs are compared, on what data, by which recipe, how often, and at what measured cost."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from swatbench.spec.catalog import PAIRS, model_name
from swatbench.spec.cost import Cost, distinct
from swatbench.spec.data import Data
from swatbench.spec.paired import OF_MEASURING, PairedSuite, RecipeOwner, Seed
from swatbench.spec.recipe import Recipe, RecipeChanges
from swatbench.spec.segmentation import ONE_SIZE, Backbone, Side


class ProfileSuite(PairedSuite):
    """A suite file without data, recipe and seeds: cost is measured, and nothing is trained."""

    num_classes: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Classes of the logits."""
    input_size: tuple[Side, Side] | None = None
    """Rows and columns of the images that a segmenter is measured on; null for its crops. Classifiers take
    their pair's own."""
    cost: Cost = Cost()
    """How cost is measured."""

    @model_validator(mode="after")
    def _cost_can_be_measured(self) -> Self:
        self.check_cost(self.cost)
        return self

    @model_validator(mode="after")
    def _size_fits(self) -> Self:
        if self.input_size is None:
            return self
        if self.segmentation is None:
            raise ValueError("input_size: classifiers take images of their pair's own size")
        crop = self.segmentation.crop_size
        for name in self.pairs:
            if PAIRS[name].family in ONE_SIZE and self.input_size != (crop, crop):
                raise ValueError(
                    f"input_size: {name} takes images of one size alone, {crop} × {crop} "
                    "(segmentation.crop_size)"
                )
        return self

    @model_validator(mode="after")
    def _nothing_of_training(self) -> Self:
        for key in sorted(self.execution.model_fields_set - OF_MEASURING):
            raise ValueError(
                f"execution.{key}: is of training alone, and this suite trains nothing; measuring has "
                "cost.threads, cost.modes, cost.precisions and cost.layouts"
            )
        return self


MOST_CELLS = 20_000
"""Most cells of a suite that trains, which is as many as a report is made for."""


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
    backbone: Backbone | None = None
    """Of segmentation: the weights that backbones begin with; null for fresh ones."""
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
    def _cells_can_be_listed(self) -> Self:
        runs, tests = len(self.pairs) * len(self.arms) * len(self.seeds), len(self.data.further_tests)
        if runs * (1 + tests) > MOST_CELLS:
            beside = f", each tested on {tests} further sets" if tests else ""
            raise ValueError(
                f"seeds: {len(self.pairs)} pairs × {len(self.arms)} arms × {len(self.seeds)} seeds{beside}, "
                f"are {runs * (1 + tests):,} cells; a suite has at most {MOST_CELLS:,}"
            )
        return self

    @model_validator(mode="after")
    def _data_fit_the_task(self) -> Self:
        if self.data.of_masks and self.segmentation is None:
            raise ValueError(
                f"segmentation: {self.data.source} has masks; write `segmentation: {{}}` for the published "
                "way to learn them"
            )
        if self.segmentation is not None and not self.data.of_masks:
            raise ValueError(f"data.source: {self.data.source} has no masks, which segmentation learns")
        return self

    @model_validator(mode="after")
    def _recipe_fits_the_task(self) -> Self:
        if self.segmentation is None and self.recipe.steps_per_epoch is not None:
            raise ValueError("recipe.steps_per_epoch: is of segmentation alone")
        if self.segmentation is not None and "augmentation" in self.recipe.model_fields_set:
            raise ValueError(
                "recipe.augmentation: is of classification; images with masks change by "
                "segmentation.augmentation"
            )
        return self

    @model_validator(mode="after")
    def _every_backbone_has_weights(self) -> Self:
        if self.backbone is None:
            return self
        if self.segmentation is None:
            raise ValueError("backbone: is of segmentation alone")
        if self.backbone.suite == self.name:
            raise ValueError("backbone.suite: this is the suite itself, which trains no classifier")
        models = {model_name(PAIRS[pair], arm) for pair in self.pairs for arm in self.arms}
        unlike = sorted(models ^ self.backbone.files.keys())
        if self.backbone.files and unlike:
            raise ValueError(f"backbone.files: needs each of {', '.join(sorted(models))} and no other")
        return self

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
    def _batches_can_be_trained_on(self) -> Self:
        self.check_cost(self.cost)
        for pair in self.pairs if self.segmentation else ():
            recipe = self.recipe_of(pair)
            assert self.segmentation is not None
            key = "recipe.micro_batch_size" if recipe.micro_batch_size else "recipe.batch_size"
            self.segmentation.check_images(key, recipe.micro_batch_size or recipe.batch_size)
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
        if self.segmentation is not None:
            return self
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
