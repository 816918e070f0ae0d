"""How a model is trained: optimizer, schedule, regularisation and augmentation, as data.

The defaults are those of a short run on small images; `suites/imagenet.yaml` holds the released recipe.
"""

from math import sqrt
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from swatbench.spec.base import BatchSize, Count, Fraction, GrownSpec, Spec

Rate = Annotated[float, Field(gt=0)]
Amount = Annotated[float, Field(ge=0)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]


class Augmentation(Spec):
    """Random changes to training images; those of one image follow from (seed, epoch, image index) alone."""

    crop: Literal["padded", "resized"] = "padded"
    """`padded`: zeros around the image, then a crop of its size; `resized`: a random part, resized."""
    crop_padding: Annotated[int, Field(ge=0, le=16)] = 4
    """Zero pixels added on each side before a padded crop."""
    crop_scale: tuple[Fraction, Fraction] = (0.08, 1.0)
    """Smallest and largest part of the image's area in a resized crop."""
    crop_ratio: tuple[Rate, Rate] = (0.75, 4 / 3)
    """Smallest and largest width over height of a resized crop."""
    interpolation: Literal["random", "bilinear", "bicubic"] = "random"
    """How a resized crop is resized; `random` draws bilinear or bicubic."""
    flip_probability: Fraction = 0.5
    """Probability of a horizontal flip."""
    auto_augment: (
        Annotated[str, Field(pattern=r"^(rand|augmix|original|originalr|v0|v0r|3a)(-.*)?$")] | None
    ) = None
    """timm's description of a policy, as `rand-m9-mstd0.5-inc1`; null for none."""
    color_jitter: Amount = 0.0
    """Brightness, contrast and saturation change by up to this share; timm leaves it out beside a policy."""
    erasing_probability: Fraction = 0.0
    """Probability that a rectangle of the image is erased."""
    erasing_mode: Literal["const", "rand", "pixel"] = "pixel"
    """What an erased rectangle holds: zeros, one random colour, or random pixels."""
    mixup_alpha: Amount = 0.0
    """Parameter of mixup's beta distribution; 0 for no mixup."""
    cutmix_alpha: Amount = 0.0
    """Parameter of cutmix's beta distribution; 0 for no cutmix."""
    mixing_probability: Fraction = 1.0
    """Probability that mixup or cutmix is applied at all."""
    mixing_switch_probability: Fraction = 0.5
    """Probability of cutmix, where both are on."""
    mixing_mode: Literal["batch", "pair", "elem"] = "batch"
    """Whether a micro-batch, a pair of images or an image draws its own mixing."""
    repeats: Annotated[int, Field(ge=1, le=16)] = 1
    """Copies of an image in an epoch, each changed in its own way; an epoch keeps its length."""

    @property
    def whole_batches(self) -> bool:
        """Whether a whole batch of images of one size can be cropped and mirrored at once."""
        return self.crop == "padded" and not (
            self.auto_augment or self.color_jitter or self.erasing_probability
        )

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with one another."""
        return self.mixing_probability > 0 and (self.mixup_alpha > 0 or self.cutmix_alpha > 0)

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> Self:
        for name, (low, high) in (("crop_scale", self.crop_scale), ("crop_ratio", self.crop_ratio)):
            if low > high or low == 0:
                raise ValueError(f"{name}: {low:g} to {high:g} is no range of numbers above 0")
        return self


class Ema(Spec):
    """An exponential moving average of the weights, updated after every optimizer step."""

    decay: Annotated[float, Field(gt=0, lt=1)]
    """Share of the old average that is kept in a step."""
    warmup: bool = False
    """Whether the decay grows to its value over the first steps, as timm does it."""


class Recipe(GrownSpec):
    """How a model is trained; both arms of a pair share it."""

    _gained: ClassVar[frozenset[str]] = frozenset({"steps_per_epoch"})

    epochs: Epochs
    """Passes over the training images in the schedule, warm-up included."""
    cooldown_epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Further passes at the schedule's last rate."""
    steps_per_epoch: Count | None = None
    """Of segmentation: optimizer steps that are called an epoch here, so that a schedule can be stated in
    steps; images are visited pass after pass underneath. Null: one pass."""
    batch_size: BatchSize
    """Images in an optimizer step, over all processes; the last, smaller batch of an epoch is dropped."""
    micro_batch_size: BatchSize | None = None
    """Images in one forward pass, within which mixup and cutmix mix; gradients of several are added up to one
    step. Null: `batch_size` divided by the number of processes."""
    optimizer: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")] = "adamw"
    """Name of an optimizer in `timm.optim`."""
    learning_rate: Rate
    """Peak learning rate, for a batch of `learning_rate_batch_size`."""
    learning_rate_scaling: Literal["none", "linear", "sqrt"] = "none"
    """How the peak rate follows `batch_size`: not at all, by its ratio to `learning_rate_batch_size`, or by
    that ratio's square root."""
    learning_rate_batch_size: BatchSize | None = None
    """Batch size that `learning_rate` is stated for."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay rates of the two running means, for optimizers that keep two, in place of their own; refused for
    others unless left at this."""
    eps: Rate | None = None
    """Number added to a denominator; null for the optimizer's own."""
    weight_decay: Amount = 0.05
    """Weight decay."""
    weight_decay_reaches: Literal["matrices", "as_released"] = "matrices"
    """`matrices`: neither biases, scales nor positions; `as_released`: what the released SWAT code decays."""
    schedule: Literal["cosine", "tanh", "poly", "step", "multistep", "wsd", "rsqrt", "constant"] = "cosine"
    """Name of a schedule in `timm.scheduler`."""
    schedule_per: Literal["step", "epoch"] = "step"
    """Whether the rate changes with every optimizer step or with every epoch."""
    decay_epochs: Annotated[float, Field(gt=0)] | None = None
    """Epochs between two decays (step), or of the last phase (wsd, rsqrt), where a value below 1 is a share
    of the epochs after the warm-up; null for timm's own."""
    decay_milestones: tuple[Epochs, ...] = ()
    """Epochs, counted from 1, that are the first with a lower rate (multistep); per step their last step."""
    decay_rate: Rate = 0.1
    """Factor of one decay (step, multistep), or the power (poly)."""
    warmup_epochs: Amount = 0.0
    """Epochs of linear warm-up from `warmup_learning_rate`."""
    warmup_learning_rate: Amount = 1e-6
    """Learning rate of the first step of the warm-up."""
    warmup_prefix: bool = True
    """Whether the schedule begins after the warm-up; if not, it has run on underneath."""
    min_learning_rate: Amount = 0.0
    """Learning rate at the end of the schedule."""
    clip_grad_norm: Rate | None = 1.0
    """Largest gradient norm; null for no clipping."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Probability mass spread over the wrong classes."""
    drop_path_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Rate at which the last block's branches are dropped, linearly less before; null for the pair's own."""
    ema: Ema | None = None
    """Moving average of the weights, which is then what is tested; null for none."""
    augmentation: Augmentation = Augmentation()
    """Random changes to the training images."""

    @property
    def total_epochs(self) -> int:
        """Passes over the training images, cool-down included."""
        return self.epochs + self.cooldown_epochs

    def images_seen(self, train_images: int) -> int:
        """Training images seen in a run, counted with repetition.

        Args:
            train_images: Images of the training split; what fills no batch is left out of an epoch.
        """
        steps = self.steps_per_epoch or train_images // self.batch_size
        return self.total_epochs * steps * self.batch_size

    @property
    def peak_learning_rate(self) -> float:
        """The peak learning rate for `batch_size`, by the stated rule."""
        if self.learning_rate_scaling == "none" or self.learning_rate_batch_size is None:
            return self.learning_rate
        ratio = self.batch_size / self.learning_rate_batch_size
        return self.learning_rate * (ratio if self.learning_rate_scaling == "linear" else sqrt(ratio))

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs: {self.warmup_epochs:g} must be below epochs ({self.epochs})")
        return self

    @model_validator(mode="after")
    def _scaling_has_its_batch_size(self) -> Self:
        if (self.learning_rate_scaling == "none") != (self.learning_rate_batch_size is None):
            raise ValueError(
                "learning_rate_scaling: linear and sqrt need learning_rate_batch_size, and none takes none"
            )
        return self

    @model_validator(mode="after")
    def _micro_batches_make_a_batch(self) -> Self:
        micro = self.micro_batch_size
        if micro is not None and self.batch_size % micro:
            raise ValueError(f"micro_batch_size: {self.batch_size} images are not micro-batches of {micro}")
        if self.augmentation.mixes and (micro or self.batch_size) % 2:
            key = "micro_batch_size" if micro else "batch_size"
            raise ValueError(f"{key}: mixup and cutmix need an even number, not {micro or self.batch_size}")
        return self


class RecipeChanges(Spec):
    """What a family or a pair has otherwise than the suite's recipe; both of its arms alike."""

    epochs: Epochs | None = None
    """As in `recipe`."""
    batch_size: BatchSize | None = None
    """As in `recipe`."""
    micro_batch_size: BatchSize | None = None
    """As in `recipe`."""
    learning_rate: Rate | None = None
    """As in `recipe`."""
    learning_rate_batch_size: BatchSize | None = None
    """As in `recipe`."""
    warmup_epochs: Amount | None = None
    """As in `recipe`."""
    weight_decay: Amount | None = None
    """As in `recipe`."""
    drop_path_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    """As in `recipe`."""
    clip_grad_norm: Rate | None = None
    """As in `recipe`."""

    def applied(self, recipe: Recipe) -> Recipe:
        """The recipe with what is set here in its place.

        Raises:
            ValidationError: The changed recipe does not hold together.
        """
        return Recipe.model_validate({**dict(recipe), **self.model_dump(exclude_unset=True)})
