import pytest
from pydantic import ValidationError

from swatbench.spec.data import Data, TestSet
from swatbench.spec.sources import SOURCES

COUNTS = {"train_images": 30, "test_images": 6, "num_classes": 3}


@pytest.mark.parametrize("source", SOURCES)
def test_facts_of_known_sources_come_from_the_table(source):
    assert Data(source=source).facts == SOURCES[source]


@pytest.mark.parametrize("source", ["folder", "wds/imagenet", "hfds/imagenet-1k", "hfds/data/mine"])
def test_facts_of_what_timm_opens_are_stated(source):
    data = Data(source=source, **COUNTS)
    assert (data.facts.train_images, data.facts.test_images, data.facts.num_classes) == (30, 6, 3)
    assert data.facts.img_size is None
    assert data.streamed == source.startswith("wds/")
    for name in COUNTS:
        with pytest.raises(ValidationError, match=f"needs {name}"):
            Data(source=source, **{**COUNTS, name: None})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cifar_10", "Did you mean cifar10"),
        ("folders", "Did you mean folder"),
        ("wds/", "Known: cifar10"),
        ("hfds//srv/images", "from the working folder downwards"),
        ("hfds/../images", "from the working folder downwards"),
        ("hfds/~/images", "from the working folder downwards"),
    ],
)
def test_an_unknown_source_is_refused(source, message):
    with pytest.raises(ValidationError, match=message):
        Data(source=source, **COUNTS)


def test_shards_cannot_be_kept_decoded():
    assert Data(source="wds/some", **COUNTS, keep_decoded=False).streamed
    with pytest.raises(ValidationError, match="keep_decoded: shards are read in their order"):
        Data(source="wds/some", **COUNTS, keep_decoded=True)


def test_counts_of_known_sources_are_not_stated():
    with pytest.raises(ValidationError, match="num_classes: known for source 'cifar10'"):
        Data(source="cifar10", num_classes=10)


def test_further_tests_have_names_of_their_own():
    one = TestSet(name="v2", root="v2", images=3)
    for tests in ((one, one), (one.model_copy(update={"name": "test"}),)):
        with pytest.raises(ValidationError, match="each needs a name of its own"):
            Data(source="folder", **COUNTS, further_tests=tests)
    with pytest.raises(ValidationError, match="further_tests: images of 'cifar10' have none"):
        Data(source="cifar10", further_tests=(one,))


@pytest.mark.parametrize("wrong", [{"labels": "folders"}, {"labels": "real", "root": "there"}])
def test_folders_have_a_root_and_other_labels_have_none(wrong):
    with pytest.raises(ValidationError, match="root: labels"):
        TestSet(name="v2", images=3, **wrong)
