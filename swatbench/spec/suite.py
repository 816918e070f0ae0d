"""A suite: which pairs are compared, on what data, by which recipe, how often, and at what measured cost."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from swatbench.errors import ModelError
from swatbench.spec.base import Spec
from swatbench.spec.catalog import ARMS, PAIRS, Pair, parts_of, suggest
from swatbench.spec.sources import SOURCES
from swatbench.spec.structure import Structure


def _known(kind: str, table: Mapping[str, object]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in table:
            raise ValueError(f"unknown {kind} {name!r}. {suggest(name, table)}")
        return name

    return check


Item = TypeVar("Item")


def _distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    for item, times in Counter(items).items():
        if times > 1:
            raise ValueError(f"{item} is listed {times} times")
    return items


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
PairName = Annotated[
    str, AfterValidator(_known("pair", PAIRS)), Field(json_schema_extra={"enum": [*sorted(PAIRS)]})
]
ArmName = Annotated[str, AfterValidator(_known("arm", ARMS)), Field(json_schema_extra={"enum": [*ARMS]})]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
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


class Data(Spec):
    """The images to train and test on."""

    source: Literal["cifar10_subset", "cifar10"]
    """`cifar10_subset` ships inside the package; `cifar10` is read from `root` in torchvision's layout."""
    root: str | None = None
    """Folder that holds `cifar-10-batches-py`, `data` if null; relative paths start at the working folder."""

    @model_validator(mode="after")
    def _no_root_for_what_is_inside(self) -> Self:
        if self.source == "cifar10_subset" and self.root is not None:
            raise ValueError("root: source 'cifar10_subset' is inside the package and takes no `root`")
        return self


class Augmentation(Spec):
    """Random changes to a training image, drawn for each image from (seed, epoch, image index)."""

    crop_padding: Annotated[int, Field(ge=0, le=16)] = 4
    """Zero pixels added on each side before a random crop back to the image size."""
    flip_probability: Fraction = 0.5
    """Probability of a horizontal flip."""


class Recipe(Spec):
    """How a model is trained; both arms of a pair share it."""

    epochs: Annotated[int, Field(ge=1, le=10_000)]
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    """Images in a step; the last, smaller batch of an epoch is dropped."""
    optimizer: Literal["adamw", "adam", "nadamw", "radam", "lamb", "lion", "sgd"] = "adamw"
    """Name of an optimizer in `timm.optim`."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Peak learning rate."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay rates of the two running means, for optimizers that keep two."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Weight decay."""
    weight_decay_reaches: Literal["matrices", "as_released"] = "matrices"
    """`matrices`: neither biases, scales nor positions; `as_released`: what the released SWAT code decays."""
    schedule: Literal["cosine"] = "cosine"
    """Name of a schedule in `timm.scheduler`, stepped once per optimizer step."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs of linear warm-up from `warmup_learning_rate`."""
    warmup_learning_rate: Annotated[float, Field(ge=0)] = 1e-6
    """Learning rate of the first step of the warm-up."""
    min_learning_rate: Annotated[float, Field(ge=0)] = 0.0
    """Learning rate at the end of the schedule."""
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest gradient norm; null for no clipping."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Probability mass spread over the wrong classes."""
    augmentation: Augmentation = Augmentation()
    """Random changes to the training images."""

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs: {self.warmup_epochs:g} must be below epochs ({self.epochs})")
        return self


class Execution(Spec):
    """Where and in what arithmetic cells run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes CUDA where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Autocast type; `auto` is bf16 where the hardware computes in it, else fp32."""
    fused_attention: bool | Literal["auto"] = "auto"
    """timm's fused attention; `auto` is on for CUDA and off for CPU, where its bf16 backward is slow."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads of one training process."""
    jobs: Annotated[int, Field(ge=1, le=256)] = 1
    """Cells trained at the same time, each in a process of its own; measuring never runs beside anything."""
    deterministic: bool = True
    """Ask torch for deterministic algorithms, so that a run repeats bit for bit on the same machine."""


class Cost(Spec):
    """How the arms of a pair are timed and measured; all arms stay resident and are timed interleaved."""

    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    """Images in one timed call."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads while measuring; null for all cores."""
    max_rounds: Annotated[int, Field(ge=6, le=10_000)] = 60
    """Most rounds; in each, every arm and the baseline's twin are timed once, in random order."""
    budget_s: Annotated[float, Field(gt=0)] = 15.0
    """Time after which no further round of one protocol is begun, in seconds."""
    training: bool = True
    """Also time and measure one training step (forward, backward, optimizer)."""


class Suite(Spec):
    """A suite file."""

    name: Name
    """Name of the folder under `results/` and `reports/`."""
    description: str = ""
    """What the suite asks, for the head of the report."""
    promise: Promise | None = None
    """Expected time, hardware and result."""
    pairs: Annotated[tuple[PairName, ...], Field(min_length=1), AfterValidator(_distinct)]
    """Pairs of the catalogue (`swatbench models`)."""
    arms: Annotated[tuple[ArmName, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        "baseline",
        "swat",
    )
    """Arms to build for each pair; the first is `baseline`, with which every other is compared.

    Every pair must have them all: `merging` exists in Swin and VAN, `token_mixing` and `mixing` not in VAN,
    `class_token` in DeiT alone.
    """
    structure: Structure = Structure()
    """Other sizes or readings of SWAT than the paper's."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_distinct)]
    """One training run for each pair, arm and seed."""
    data: Data
    """The images."""
    recipe: Recipe
    """The training recipe."""
    execution: Execution = Execution()
    """Device, precision, threads."""
    cost: Cost | None = Cost()
    """How cost is measured; null to skip it."""

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

    @model_validator(mode="after")
    def _a_batch_can_be_filled(self) -> Self:
        images = SOURCES[self.data.source].train_images
        if self.recipe.batch_size > images:
            raise ValueError(
                f"recipe.batch_size: {self.recipe.batch_size} is more than the {images} training images "
                f"of {self.data.source}"
            )
        return self

    @model_validator(mode="after")
    def _images_fit(self) -> Self:
        size = SOURCES[self.data.source].img_size
        for name in self.pairs:
            wanted = PAIRS[name].img_size
            if wanted != size:
                raise ValueError(
                    f"pairs: {name} takes images of {wanted} × {wanted} pixels, "
                    f"but those of {self.data.source} are {size} × {size}"
                )
        return self
