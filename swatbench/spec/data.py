"""The images of a suite: where they come from, how many there must be, and on what else to test."""

from pathlib import PurePath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from swatbench.spec.base import Count, Fraction, GrownSpec, Name, Spec
from swatbench.spec.catalog import suggest
from swatbench.spec.sources import SOURCES, Source

Colour = Annotated[float, Field(ge=0, le=1)]

OPENED_BY_TIMM = ("folder", "wds/", "hfds/")
"""Beginnings of sources that timm's dataset factory opens."""

INSIDE = ("cifar10_subset", "garment_canvases")
"""Sources that are files of the package itself."""
MASKS = "masks"
"""Source of images and masks in folders: `images/<split>/` and `annotations/<split>/`."""
MOST_MASK_CLASSES = 254
"""Most classes that masks can tell apart, which are kept as bytes."""


def _known_source(source: str) -> str:
    if source in SOURCES or source in ("folder", MASKS):
        return source
    room, _, name = source.partition("/")
    if room not in ("wds", "hfds") or not name:
        near = suggest(source, {**SOURCES, "folder": None, MASKS: None}, far="")
        raise ValueError(
            f"unknown source {source!r}. {near} Known: {', '.join(SOURCES)}, folder, {MASKS}, wds/<name>, "
            "hfds/<name>."
        )
    # A record keeps the source, and must not keep the folders of a machine.
    if PurePath(name).is_absolute() or name.startswith("~") or ".." in PurePath(name).parts:
        raise ValueError(f"source {source!r}: write the path from the working folder downwards")
    return source


class TestSet(Spec):
    """Further images to test trained models on, or other labels for the test images."""

    __test__ = False

    name: Name
    """What the report calls it, as `v2`, `a`, `r`, `sketch` or `real`."""
    labels: Literal["folders", "real"] = "folders"
    """`folders`: a folder a class, named as in training or by the class's number; `real`: the ImageNet-ReaL
    labels of the test images, several an image."""
    root: str | None = None
    """Folder of the class folders; null with `real`."""
    images: Count
    """Images that there must be; with `real`, those of the test split."""
    among_its_classes: bool = False
    """Whether a model chooses among this set's classes alone, as is usual for ImageNet-A and -R."""

    @model_validator(mode="after")
    def _root_where_there_are_folders(self) -> Self:
        if (self.labels == "folders") != (self.root is not None):
            raise ValueError("root: labels `folders` need the folder, and `real` takes none")
        return self


class Data(GrownSpec):
    """The images to train and test on."""

    _gained: ClassVar[frozenset[str]] = frozenset({"unlabelled"})

    source: Annotated[
        str,
        AfterValidator(_known_source),
        Field(
            json_schema_extra={"examples": [*SOURCES, "folder", MASKS, "wds/imagenet", "hfds/imagenet-1k"]}
        ),
    ]
    """`cifar10_subset` ships inside the package; `cifar10` and `cifar100` are read in torchvision's layout;
    timm's dataset factory opens `folder` (a folder a class), `wds/<name>` (tar shards) and `hfds/<name>`
    (Hugging Face). The rest are images with masks, for segmentation: `garment_canvases` ships inside the
    package, and `ade20k` and `masks` are `images/<split>/` and `annotations/<split>/` with an index mask
    (PNG) for each image."""
    root: str | None = None
    """Folder of the images, `data` if null; relative paths start at the working folder. For `hfds/` the cache
    folder, its own if null, since the source itself names the folder of the images."""
    train_split: str = "train"
    """Name of the training split, for sources that timm opens; for shards also a pattern with a count."""
    test_split: str = "validation"
    """Name of the test split, likewise."""
    train_images: Count | None = None
    """Training images that there must be; required for sources that timm opens."""
    test_images: Count | None = None
    """Test images that there must be, likewise."""
    num_classes: Annotated[int, Field(ge=2, le=100_000)] | None = None
    """Classes, likewise."""
    mean: tuple[Colour, Colour, Colour] = (0.485, 0.456, 0.406)
    """Mean of red, green and blue that images are normalised by, for sources that timm opens."""
    std: tuple[Colour, Colour, Colour] = (0.229, 0.224, 0.225)
    """Standard deviation of red, green and blue, likewise."""
    crop_fraction: Annotated[Fraction, Field(gt=0)] = 0.875
    """Side of the centre crop at a test, as a share of the resized image's shorter side, likewise."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    """How images are resized at a test, likewise."""
    keep_decoded: bool | Literal["auto"] = "auto"
    """Whether decoded images stay in memory; `auto` keeps small sets, likewise."""
    unlabelled: Literal["zero", "255"] | None = None
    """Of `masks`: which index stands for no class: `zero`, where classes are counted from 1 as in ADE20K, or
    `255`; null for none."""
    further_tests: tuple[TestSet, ...] = ()
    """What trained models are tested on beside the test split."""

    @property
    def opened_by_timm(self) -> bool:
        """Whether timm's dataset factory opens the source."""
        return self.source.startswith(OPENED_BY_TIMM)

    @property
    def of_masks(self) -> bool:
        """Whether each image comes with a mask of classes."""
        return self.source == MASKS or (self.source in SOURCES and SOURCES[self.source].masks)

    @property
    def counted_by_suite(self) -> bool:
        """Whether the suite must state how many images and classes there are."""
        return self.opened_by_timm or self.source == MASKS

    @property
    def streamed(self) -> bool:
        """Whether images come in the order of their shards and cannot be asked for by number."""
        return self.source.startswith("wds/")

    @property
    def facts(self) -> Source:
        """Sizes and counts that hold if the data are whole."""
        if not self.counted_by_suite:
            return SOURCES[self.source]
        assert self.num_classes is not None
        assert self.train_images is not None
        assert self.test_images is not None
        return Source(
            img_size=None,
            num_classes=self.num_classes,
            train_images=self.train_images,
            test_images=self.test_images,
            masks=self.of_masks,
        )

    @model_validator(mode="after")
    def _no_root_for_what_is_inside(self) -> Self:
        if self.source in INSIDE and self.root is not None:
            raise ValueError(f"root: source {self.source!r} is inside the package and takes no `root`")
        return self

    @model_validator(mode="after")
    def _counts_where_they_are_not_known(self) -> Self:
        for name in ("train_images", "test_images", "num_classes"):
            stated = getattr(self, name) is not None
            if stated and not self.counted_by_suite:
                raise ValueError(f"{name}: known for source {self.source!r}, and not to be stated")
            if self.counted_by_suite and not stated:
                raise ValueError(f"source {self.source!r} needs {name}, the number that there must be")
        return self

    @model_validator(mode="after")
    def _streams_are_not_kept(self) -> Self:
        if self.streamed and self.keep_decoded is True:
            raise ValueError("keep_decoded: shards are read in their order and cannot be kept decoded")
        return self

    @model_validator(mode="after")
    def _further_tests_of_files(self) -> Self:
        if self.further_tests and not self.opened_by_timm:
            why = "they have masks" if self.of_masks else "theirs are 32 × 32"
            raise ValueError(f"further_tests: images of {self.source!r} have none, since {why}")
        return self

    @model_validator(mode="after")
    def _unlabelled_is_of_masks(self) -> Self:
        if self.unlabelled is not None and self.source != MASKS:
            raise ValueError(f"unlabelled: is of source {MASKS!r} alone, and this is {self.source!r}")
        if self.source == MASKS and (self.num_classes or 0) > MOST_MASK_CLASSES:
            raise ValueError(f"num_classes: masks tell {MOST_MASK_CLASSES} classes apart at most")
        return self

    @model_validator(mode="after")
    def _tests_have_their_own_names(self) -> Self:
        names = [test.name for test in self.further_tests]
        if len({*names, "test"}) <= len(names):
            raise ValueError("further_tests: each needs a name of its own, and `test` is the test split's")
        return self
