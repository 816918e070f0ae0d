"""Semantic segmentation: the head over a backbone, how images with masks change, and how a model is tested.

The defaults are those of the published UPerNet training on ADE20K (Xiao et al. 2018, arXiv:1807.10221, as in
Swin's release): crops of 512 × 512 pixels from images whose shorter side is 512 times 0.5 to 2.

Letters: H and W, rows and columns of an image.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from swatbench.spec.base import Fraction, Name, Spec
from swatbench.spec.catalog import Pair
from swatbench.spec.cost import Cost

IGNORED = 255
"""Label of pixels that count for nothing: not for the loss, and not for a score."""

ISOTROPIC = ("deit", "mixer", "resmlp")
"""Families whose tokens keep one size, so that a head for feature pyramids does not fit them as they are."""
ONE_SIZE = ("mixer", "resmlp")
"""Families that mix a fixed number of tokens and so take images of one size alone."""

Head = Literal["upernet", "upernet_on_taps"]
Side = Annotated[int, Field(ge=8, le=8192)]
Scale = Annotated[float, Field(gt=0, le=8)]


class MaskAugmentation(Spec):
    """Random changes to a training image and its mask; they follow from (seed, pass, image index) alone."""

    scale: tuple[Scale, Scale] = (0.5, 2.0)
    """Smallest and largest factor on `short_side` and `long_side`, drawn for each image."""
    largest_class_share: Annotated[Fraction, Field(gt=0)] = 0.75
    """A crop with a larger share of labelled pixels in one class is drawn again, ten times at most."""
    flip_probability: Fraction = 0.5
    """Probability of a horizontal flip."""
    photometric_distortion: bool = True
    """Whether brightness, contrast, saturation and hue change, each with probability one half."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: {self.scale[0]:g} to {self.scale[1]:g} is no range")
        return self


class Inference(Spec):
    """One way to test a segmenter."""

    name: Name = "single_scale"
    """What tables call it."""
    mode: Literal["auto", "whole", "sliding"] = "auto"
    """`whole`: the image at once; `sliding`: windows of `crop_size`, averaged where they overlap; `auto`:
    sliding for families that take one size alone (Mixer, ResMLP), else whole."""
    stride: Side | None = None
    """Pixels between two windows; null for two thirds of `crop_size`."""
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)] = (1.0,)
    """Factors on `short_side` and `long_side`; class probabilities are averaged over them."""
    flip: bool = False
    """Whether probabilities are averaged with those of the mirrored image."""

    @model_validator(mode="after")
    def _stride_is_of_windows(self) -> Self:
        if self.mode == "whole" and self.stride is not None:
            raise ValueError(f"stride: {self.name} takes whole images, which have none")
        return self


def _own_names(tests: tuple[Inference, ...]) -> tuple[Inference, ...]:
    names = [test.name for test in tests]
    if len(set(names)) < len(names):
        raise ValueError("each needs a name of its own")
    if any(name == "raw" or name.endswith("-raw") for name in names):
        raise ValueError("raw is what files call weights that are no average; choose another name")
    return tests


class Segmentation(Spec):
    """How a backbone becomes a segmenter."""

    head: Head | Literal["auto"] = "auto"
    """`upernet`: on the four stages of a hierarchical backbone; `upernet_on_taps`: on a pyramid made of four
    taps of an isotropic one, as BEiT and XCiT do it; `auto`: whichever fits the family."""
    decoder_channels: Annotated[int, Field(ge=8, le=4096)] = 512
    """Channels of the decoder."""
    norm: Literal["batchnorm", "groupnorm"] = "batchnorm"
    """Norm of the head's convolutions; published heads have batch norm, which several processes share on CUDA
    alone."""
    auxiliary_weight: Annotated[float, Field(ge=0, le=10)] = 0.4
    """Weight of the auxiliary head's loss, which reads the third of the four feature maps; 0 for no such
    head."""
    auxiliary_channels: Annotated[int, Field(ge=8, le=4096)] = 256
    """Channels of the auxiliary head."""
    crop_size: Side = 512
    """H = W of training crops, and of the windows of a sliding test."""
    short_side: Side = 512
    """Pixels that an image's shorter side is resized to, unless its longer one reaches `long_side` first."""
    long_side: Side = 2048
    """Most pixels of the longer side."""
    augmentation: MaskAugmentation = MaskAugmentation()
    """Random changes to training images and their masks."""
    tests: Annotated[tuple[Inference, ...], Field(min_length=1), AfterValidator(_own_names)] = (Inference(),)
    """How a trained model is tested; the first is what the report goes by."""
    shown: Annotated[int, Field(ge=0, le=16)] = 4
    """Test images whose predicted masks are kept for the report."""

    @model_validator(mode="after")
    def _sides_in_order(self) -> Self:
        if self.short_side > self.long_side:
            raise ValueError(f"short_side: {self.short_side} is more than long_side ({self.long_side})")
        for test in self.tests:
            if test.stride is not None and test.stride > self.crop_size:
                raise ValueError(f"tests: {test.name}: stride {test.stride} leaves gaps between windows")
        return self

    def resized(self, height: int, width: int, scale: float) -> tuple[int, int]:
        """Rows and columns of an image once it is resized, its proportions kept, in training as at a test.

        Args:
            height: Rows of the image.
            width: Its columns.
            scale: Factor on `short_side` and `long_side`.

        Example:
            >>> Segmentation().resized(400, 600, 1.0), Segmentation().resized(100, 900, 0.5)
            ((512, 768), (114, 1024))
        """
        factor = scale * min(self.short_side / min(height, width), self.long_side / max(height, width))
        return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))

    def trains_on(self, images: int) -> bool:
        """Whether a forward pass on so many images can be trained on: batch norm needs two of them.

        The decoder pools a map to one pixel, of which a single image leaves nothing to norm.
        """
        return images > 1 or self.norm != "batchnorm"

    def check_cost(self, key: str, cost: Cost) -> None:
        """Refuse to measure a training step that the head cannot take.

        Args:
            key: Key of the batch size, as the user wrote it.
            cost: What is measured.

        Raises:
            ValueError: It cannot; the message starts with the key.
        """
        for images in (cost.batch_size, *cost.sweep) if cost.training else ():
            self.check_images(key, images)

    def check_images(self, key: str, images: int) -> None:
        """Refuse a training step on so few images that the head's batch norm cannot train on them.

        Args:
            key: Key of the file that says how many.
            images: Images of one forward pass.

        Raises:
            ValueError: It is a single one; the message starts with the key.
        """
        if not self.trains_on(images):
            raise ValueError(
                f"{key}: batch norm of a map that is pooled to one pixel cannot train on one image; take two "
                "or more, leave training out, or write segmentation.norm: groupnorm"
            )

    def of(self, pair: Pair) -> "Segmentation":
        """The same with all that `auto` leaves open decided for a pair.

        Raises:
            ValueError: The head or a test does not fit the pair's family; the message starts with the key.
        """
        isotropic = pair.family in ISOTROPIC
        head = self.head if self.head != "auto" else "upernet_on_taps" if isotropic else "upernet"
        if isotropic != (head == "upernet_on_taps"):
            raise ValueError(f"segmentation.head: {head} does not fit {pair.name}; write auto")
        tests = tuple(self._test_of(test, pair) for test in self.tests)
        return self.model_copy(update={"head": head, "tests": tests})

    def _test_of(self, test: Inference, pair: Pair) -> Inference:
        one_size = pair.family in ONE_SIZE
        if test.mode == "whole" and one_size:
            raise ValueError(
                f"segmentation.tests: {pair.name} takes images of one size, so {test.name} must slide"
            )
        mode = test.mode if test.mode != "auto" else "sliding" if one_size else "whole"
        stride = (test.stride or max(1, self.crop_size * 2 // 3)) if mode == "sliding" else None
        return test.model_copy(update={"mode": mode, "stride": stride})


class Backbone(Spec):
    """A classifier's weights that a segmenter's backbone begins with."""

    suite: Name | None = None
    """Suite whose finished training runs on this machine have them: each model takes those of the same pair,
    arm and seed."""
    files: dict[str, str] = Field(default_factory=dict)
    """Model, as `swin_t` or `swat_swin_t`, → its file of weights, in place of a suite."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.suite is None) == (not self.files):
            raise ValueError("suite: either this or `files` says where the weights are")
        return self
