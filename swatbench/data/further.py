"""Further images to test trained models on, and other labels for the test images.

Sources: ImageNetV2 (Recht et al. 2019), ImageNet-A and ImageNet-R (Hendrycks et al. 2021), ImageNet-Sketch
(Wang et al. 2019), ImageNet-ReaL (Beyer et al. 2020).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from timm.data import ImageNetInfo, RealLabelsImagenet

from swatbench.data.expected import Expected, listed
from swatbench.data.files import FileDataset, ImageFiles
from swatbench.data.folder import list_classes
from swatbench.data.survey import sample
from swatbench.errors import DataError, SuiteError
from swatbench.spec.data import TestSet

REAL_NAME = re.compile(r"ILSVRC2012_val_\d{8}")
"""Name of an image of ImageNet's validation split; the Hub's copy adds the class to it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FurtherTest:
    """A test beside that on the test split.

    Attributes:
        name: Name of it in the suite.
        files: The images, with the labels of the training classes.
        allowed: int64 array, the classes that a model chooses among, in order; None for all.
        real: For each image the classes that count as right, maybe none; None where `files` has the labels.
    """

    name: str
    files: ImageFiles
    allowed: np.ndarray | None
    real: tuple[tuple[int, ...], ...] | None


def open_test_set(
    test: TestSet, dataset: FileDataset, *, real_json: Path | None = None, sampled: bool = True
) -> FurtherTest:
    """Open a further test and refuse it unless it is whole and fits the training classes.

    Args:
        test: What the suite asks for.
        dataset: What models are trained on.
        real_json: A list of lists of classes in place of the one in timm's package, for `real`.
        sampled: Whether some images are decoded (see `sources.load_dataset`).

    Raises:
        DataError: Images or labels are missing, or their classes are none of the training classes.
        SuiteError: `real` is asked for, and the dataset has no 1000 classes.
    """
    if test.labels == "real":
        return FurtherTest(
            name=test.name, files=dataset.test, allowed=None, real=_real_labels(test, dataset, real_json)
        )
    assert test.root is not None
    expected = Expected(name=test.name, images=test.images, num_classes=len(dataset.classes))
    root = Path(test.root).expanduser()
    listing = list_classes(
        root, expected, number=lambda names: _numbers(names, dataset, expected, where=str(root))
    )
    if listing.files.images != test.images:
        why = f"{listing.files.images} images are there{listing.hint}"
        raise expected.refusal(why, where=listing.where, fix="Complete the data, or correct the count.")
    if sampled:
        sample(listing.files)
    allowed = np.unique(listing.labels) if test.among_its_classes else None
    return FurtherTest(name=test.name, files=listing.files, allowed=allowed, real=None)


def _numbers(names: Sequence[str], dataset: FileDataset, expected: Expected, *, where: str) -> dict[str, int]:
    """Number of the training class of every folder, by its name or as its name."""
    known = _known_names(dataset)
    by_name = {name: known[name] for name in names if name in known}
    if len(by_name) == len(names):
        return by_name
    by_number = {name: int(name) for name in names if name.isdecimal() and int(name) < len(dataset.classes)}
    if len(by_number) == len(names):
        return by_number
    unknown = sorted(set(names) - set(max(by_name, by_number, key=len)))
    why = f"{len(unknown)} of its {len(names)} folders are named like no training class ({listed(unknown)})"
    raise expected.refusal(
        why, where=where, fix="Name them as in training, or by the numbers of the classes."
    )


def _known_names(dataset: FileDataset) -> dict[str, int]:
    """Names of the training classes; where they are 1000 by other names, ImageNet's of WordNet too."""
    known = {name: label for label, name in enumerate(dataset.classes)}
    wnids = ImageNetInfo("imagenet-1k").label_names()
    if len(known) == len(wnids) and not set(known) & set(wnids):
        known |= {wnid: label for label, wnid in enumerate(wnids)}
    return known


def _real_labels(test: TestSet, dataset: FileDataset, path: Path | None) -> tuple[tuple[int, ...], ...]:
    if len(dataset.classes) != 1000 and path is None:
        raise SuiteError(
            f"The ReaL labels are of ImageNet's 1000 classes, not of {len(dataset.classes)}.",
            where="data.further_tests",
            fix=f"Leave out {test.name}.",
        )
    expected = Expected(name=test.name, images=test.images, num_classes=len(dataset.classes))
    where, count = dataset.test.name, dataset.test.images
    if count != test.images:
        raise expected.refusal(f"{count} images are there", where=where, fix="Correct its count.")
    names = [dataset.test.filename(i) for i in range(count)]
    keys = [f"{match[0]}.JPEG" if (match := REAL_NAME.match(name)) else name for name in names]
    labels = _timms_labels(keys, path, expected)
    unknown = [name for name, key in zip(names, keys, strict=True) if key not in labels]
    twins = sorted(key for key, times in Counter(keys).items() if times > 1)
    if unknown or twins:
        why = (
            f"{len(unknown)} of {count} test images have no such labels ({listed(unknown)})"
            if unknown
            else f"{len(twins)} of its names are there more than once ({listed(twins)})"
        )
        fix = "Test images must be named ILSVRC2012_val_00000001.JPEG and so on, each once."
        raise expected.refusal(why, where=where, fix=fix)
    return tuple(tuple(labels[key]) for key in keys)


def _timms_labels(keys: list[str], path: Path | None, expected: Expected) -> dict[str, list[int]]:
    try:
        return RealLabelsImagenet(keys, real_json=path).real_labels
    except AssertionError as error:
        why = f"the test split has {len(keys)}, and there are labels for another number"
        raise expected.refusal(why, where="ReaL labels", fix="Test on all of ImageNet's 50000.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"The ReaL labels cannot be read ({error}).", where=str(path)) from error
