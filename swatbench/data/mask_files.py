"""Folders of images and index masks, as ADE20K is kept for scene parsing.

    <root>/images/<split>/**.jpg (or .jpeg, .png)
    <root>/annotations/<split>/**.png, with the same folders and names

Source of the layout: B. Zhou et al., "Scene parsing through ADE20K dataset", CVPR 2017.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from PIL import Image

from swatbench.data.decode import INDEXED, MASK_FORMATS, UNREADABLE, notes_of, opened, to_indices, to_rgb
from swatbench.data.expected import Expected, listed
from swatbench.data.files import digest_of, undecodable
from swatbench.data.folder import file_sizes, open_to_us, walk
from swatbench.data.mask_names import read_names
from swatbench.data.masks import MaskDataset, MaskedImages, MaskSplit, Numbering, Pair
from swatbench.data.survey import sample
from swatbench.errors import DataError
from swatbench.spec.data import Data

IMAGES, ANNOTATIONS = "images", "annotations"
"""Folders of the two under the root."""
IMAGE_ENDS: Final = (".jpg", ".jpeg", ".png")
"""How names of images end, in any case."""
MASK_ENDS: Final = (".png",)
"""How names of masks end, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a source of folders is laid out.

    Attributes:
        train: Name of the training split.
        test: Name of the test split.
        unlabelled: Which index stands for no class (see `Numbering`).
    """

    train: str
    test: str
    unlabelled: Literal["zero", "255"] | None


ADE20K: Final = Layout(train="training", test="validation", unlabelled="zero")
"""ADE20K as released for scene parsing."""


def open_mask_folders(data: Data, root: Path, layout: Layout, *, sampled: bool = True) -> MaskDataset:
    """List both splits and refuse them unless they are whole.

    Args:
        data: What the suite asks for.
        root: Folder of the two folders.
        layout: Names of the splits and numbering of the masks.
        sampled: Whether some images of each are read, too.

    Raises:
        DataError: Something is missing, too much, empty or not what it should be.
    """
    facts = data.facts
    numbering = Numbering(num_classes=facts.num_classes, unlabelled=layout.unlabelled)
    train, test = (
        list_split(root, Expected(name=name, images=images, num_classes=facts.num_classes), numbering)
        for name, images in ((layout.train, facts.train_images), (layout.test, facts.test_images))
    )
    if train.digest == test.digest:
        raise DataError(
            f"The splits {train.name} and {test.name} hold the same images.",
            where=str(root),
            fix="Test on other images.",
        )
    for split in (train, test) if sampled else ():
        sample(split)
    return MaskDataset(
        name=data.source,
        train=train,
        test=test,
        classes=read_names(root, facts.num_classes),
        mean=data.mean,
        std=data.std,
        numbering=numbering,
    )


def list_split(root: Path, expected: Expected, numbering: Numbering) -> MaskSplit:
    """List one split and hold it against what there must be.

    Args:
        root: Folder of the two folders.
        expected: What there must be.
        numbering: What the indices in the masks mean.

    Raises:
        DataError: The split is missing, closed or empty, its images and masks do not go together, or files
            are empty.
    """
    with open_to_us(root, expected):
        images, masks = (
            _files(root, kind, ends, expected)
            for kind, ends in ((IMAGES, IMAGE_ENDS), (ANNOTATIONS, MASK_ENDS))
        )
    where = root / IMAGES / expected.name
    if len(images) != expected.images:
        why = f"{len(images)} images are there"
        fix = f"Images end in {', '.join(IMAGE_ENDS)}. Complete the data, or correct the count in the suite."
        raise expected.refusal(why, where=str(where), fix=fix)
    _require_pairs(root, images, masks, expected)
    keys = sorted(images)
    paths = [(images[key], masks[key]) for key in keys]
    sizes = _sizes_of(paths, root, expected)
    pairs = MaskFiles(paths, split=expected.name, numbering=numbering)
    names = [image.relative_to(root).as_posix() for image, _ in paths]
    digest = digest_of(names, [image for image, _ in sizes], [mask for _, mask in sizes])
    return MaskSplit(name=expected.name, images=len(paths), digest=digest, pairs=pairs)


class MaskFiles(MaskedImages):
    """Images and masks in files, decoded when they are asked for; what does not fit is refused by name."""

    def __init__(self, paths: list[tuple[Path, Path]], *, split: str, numbering: Numbering) -> None:
        """Keep the paths.

        Args:
            paths: Image and mask of each number.
            split: Name of the split, for errors.
            numbering: What the indices in the masks mean.
        """
        self._paths, self._split, self._numbering = paths, split, numbering

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Pair:
        """The image and the labels of its pixels.

        Raises:
            DataError: One of the two cannot be decoded, the mask's mode is wrong or an index in it means
                nothing, or they are of unequal size.
        """
        with self._opened(index) as picture:
            image = to_rgb(picture)
        labels = self._labels(index)
        if labels.shape != (image.height, image.width):
            (h, w), (image_path, mask_path) = labels.shape, self._paths[index]
            raise DataError(
                f"Image {index} of {self._split} is {image.height} × {image.width}, and its mask {h} × {w}.",
                where=str(mask_path),
                fix=f"Rows × columns must agree with {image_path.name}.",
            )
        return image, labels

    def examine(self, index: int) -> tuple[str, ...]:
        """Decode an image and its mask, and say what of it its owner may not expect."""
        self[index]
        with self._opened(index) as picture:
            return notes_of(picture)

    @contextmanager
    def _opened(self, index: int) -> Iterator[Image.Image]:
        path = self._paths[index][0]
        with _decoding(path, f"Image {index} of {self._split}"), opened(path) as picture:
            yield picture

    def _labels(self, index: int) -> np.ndarray:
        what, path = f"The mask of image {index} of {self._split}", self._paths[index][1]
        where = str(path)
        with _decoding(path, what), opened(path, formats=MASK_FORMATS) as picture:
            mode = picture.mode
            indices = to_indices(picture) if mode in INDEXED else None
        if indices is None:
            raise DataError(
                f"{what} is of mode {mode}, and so holds colours where indices of classes should be.",
                where=where,
                fix="Write masks as PNG of one channel (mode L or P), each pixel the index of its class.",
            )
        try:
            return self._numbering.labels(indices)
        except ValueError as error:
            raise DataError(
                f"{what} holds index {error}, which is none of {self._numbering.known}.",
                where=where,
                fix="Correct the mask, or data.num_classes, or data.unlabelled, which says whether classes "
                "are counted from 1 (zero) and whether 255 stands for none.",
            ) from None


def _files(root: Path, kind: str, ends: tuple[str, ...], expected: Expected) -> dict[str, Path]:
    """Files of one split by their path in it without its ending; symbolic links are followed."""
    folder = root / kind / expected.name
    if not folder.is_dir():
        raise _missing(root, kind, expected)
    found: dict[str, Path] = {}
    for place, names in walk(folder, expected):
        for path in (place / name for name in names if name.lower().endswith(ends)):
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key in found:
                why = f"{found[key].name} and {path.name} would have the same mask"
                raise expected.refusal(why, where=str(path.parent), fix="Rename or remove one of them.")
            found[key] = path
    return found


def _missing(root: Path, kind: str, expected: Expected) -> DataError:
    if not root.is_dir():
        return expected.refusal("the folder is missing", where=str(root), fix="Correct data.root.")
    inside = root / kind
    there = sorted(path.name for path in inside.iterdir() if path.is_dir()) if inside.is_dir() else []
    why = f"{kind}/{expected.name} is missing (found: {listed(there) or 'nothing'} in {kind})"
    fix = "Correct data.root, or the name of the split."
    return expected.refusal(why, where=str(root), fix=fix)


def _require_pairs(root: Path, images: dict[str, Path], masks: dict[str, Path], expected: Expected) -> None:
    """Refuse images without masks, and masks without images."""
    alone = sorted(images.keys() - masks.keys())
    if alone:
        why = f"{len(alone)} of its {len(images)} images have no mask ({listed(alone)})"
        fix = "Each needs a PNG file of the same name in the same folder."
        raise expected.refusal(why, where=str(root / ANNOTATIONS / expected.name), fix=fix)
    alone = sorted(masks.keys() - images.keys())
    if alone:
        why = f"{len(alone)} of its {len(masks)} masks have no image ({listed(alone)})"
        fix = "Add their images, or remove these masks."
        raise expected.refusal(why, where=str(root / IMAGES / expected.name), fix=fix)


def _sizes_of(paths: list[tuple[Path, Path]], root: Path, expected: Expected) -> list[tuple[int, int]]:
    """Sizes in bytes of each image and its mask; none may be empty."""
    flat = [path for pair in paths for path in pair]
    sizes = file_sizes([str(path) for path in flat])
    empty = [path.relative_to(root).as_posix() for path, size in zip(flat, sizes, strict=True) if size == 0]
    if empty:
        why = f"{len(empty)} of the {len(flat)} files are empty or missing ({listed(empty)})"
        raise expected.refusal(why, where=str(root), fix="Get these files again.")
    return list(zip(sizes[::2], sizes[1::2], strict=True))


@contextmanager
def _decoding(path: Path, what: str) -> Iterator[None]:
    """Refuse a file that cannot be decoded."""
    try:
        yield
    except UNREADABLE as error:
        raise undecodable(what, error, where=str(path)) from error
