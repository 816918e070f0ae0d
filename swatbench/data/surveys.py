"""Surveys of all splits and test sets of a suite."""

from collections.abc import Callable, Iterator

from swatbench.data.files import FileDataset, ImageFiles
from swatbench.data.further import open_test_set
from swatbench.data.masks import MaskDataset, MaskSplit
from swatbench.data.sources import load_dataset
from swatbench.data.survey import Survey, survey
from swatbench.spec.data import Data


def survey_all(data: Data, *, on_stage: Callable[[str], object]) -> Iterator[Survey]:
    """Decode every image that a suite names, once; those in memory were decoded when they were opened.

    Args:
        data: What the suite asks for.
        on_stage: Told what begins, and now and then how far it is, in a few words.

    Raises:
        DataError: The dataset is missing or incomplete, so that its images cannot be listed.
    """
    # Neither kept in memory, nor refused for the sake of one that this is to count.
    dataset = load_dataset(data.model_copy(update={"keep_decoded": False}), sampled=False)
    for split in _splits(data, dataset):
        on_stage(f"decoding {split.name}")
        yield survey(split, pause=lambda done, name=split.name: on_stage(f"decoding {name}: {done:,} images"))


def _splits(data: Data, dataset: object) -> Iterator[ImageFiles | MaskSplit]:
    if isinstance(dataset, FileDataset | MaskDataset):
        yield dataset.train
        yield dataset.test
    if isinstance(dataset, FileDataset):
        for test in data.further_tests:
            if test.labels != "real":
                yield open_test_set(test, dataset, sampled=False).files
