import os

import numpy as np
import psutil
import pytest
from PIL import Image

from swatbench.data import decoded
from swatbench.data.decoded import DecodedImages, fits, keep_decoded
from swatbench.data.files import Pictures
from swatbench.data.sources import load_dataset
from swatbench.errors import DataError


@pytest.fixture(params=["folder", "hfds"])
def files(request, make_data):
    return load_dataset(make_data(request.param)[0]).train


def test_kept_images_are_those_decoded_on_demand(files):
    on_demand, kept = files.open(training=False), keep_decoded(files, True).open(training=False)
    assert isinstance(on_demand, Pictures)
    assert isinstance(kept, DecodedImages)
    assert len(kept) == len(on_demand) == 24
    for i in range(24):
        (ours, our_label), (theirs, their_label) = kept[i], on_demand[i]
        assert ours.mode == "RGB"
        assert (ours.size, our_label, type(our_label)) == (theirs.size, their_label, int)
        assert ours.tobytes() == theirs.tobytes()


def test_all_pixels_lie_in_one_buffer_that_images_do_not_share(files):
    kept = keep_decoded(files, True).open(training=False)
    sizes = [kept[i][0].size for i in range(24)]
    assert kept.pixels.shape == (sum(3 * w * h for w, h in sizes),)
    before = kept.pixels.copy()
    kept[3][0].putpixel((0, 0), (1, 2, 3))
    assert np.array_equal(kept.pixels, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_reads_the_same_memory(files):
    kept = keep_decoded(files, True).open(training=False)
    kept.pixels = np.tile(kept.pixels, 2_000)  # a hundred megabytes and more
    status = os.fork()
    if status == 0:
        before = psutil.Process().memory_full_info().uss
        total = int(kept.pixels.max()) + len(kept[5][0].tobytes())
        grown = psutil.Process().memory_full_info().uss - before
        os._exit(0 if total and grown < kept.pixels.nbytes / 4 else 1)
    assert os.waitpid(status, 0)[1] == 0


def test_images_are_decoded_once_and_not_before_they_are_opened(files, monkeypatch):
    decodings = []
    monkeypatch.setattr(decoded, "DecodedImages", decodings.append)
    kept = keep_decoded(files, True)
    assert decodings == []
    assert (kept.digest, kept.images, kept.filename(0)) == (files.digest, files.images, files.filename(0))
    kept.open(training=True)
    assert len(decodings) == 1


def test_a_split_is_kept_as_it_was_opened_first(files):
    kept = keep_decoded(files, True)
    assert kept.open(training=True) is kept.open(training=False, seed=3)
    assert isinstance(keep_decoded(files, False).open(training=True), Pictures)


class Sized:
    """As many images of one size, of which only headers can be read."""

    def __init__(self, n, h, w):
        self.n, self.shape, self.read = n, (h, w), []

    def __len__(self):
        return self.n

    def size(self, index):
        self.read.append(index)
        return self.shape


@pytest.mark.parametrize(
    ("n", "free_bytes", "kept"),
    [
        (1_000, 2**34, True),
        (7_000, 2**34, True),  # 7,000 × 224 × 224 × 3 = 1.05e9 < 2^30
        (7_200, 2**34, False),
        (1_000, 4 * 1_000 * 224 * 224 * 3, True),
        (1_000, 4 * 1_000 * 224 * 224 * 3 - 8, False),
        (1_281_167, 2**40, False),
    ],
)
def test_a_split_is_kept_below_a_gibibyte_and_a_quarter_of_the_free_memory(n, free_bytes, kept):
    assert fits(Sized(n, 224, 224), free_bytes=free_bytes) is kept


def test_the_estimate_reads_a_few_headers_spread_over_the_split():
    split = Sized(1_281_167, 375, 500)
    fits(split, free_bytes=2**40)
    assert len(split.read) == 64
    assert (split.read[0], split.read[-1]) == (0, 1_281_166)
    few = Sized(3, 10, 10)
    fits(few, free_bytes=2**40)
    assert few.read == [0, 1, 2]


def test_auto_asks_for_the_free_memory(files, monkeypatch):
    monkeypatch.setattr(decoded, "LARGEST_BYTES", 10)
    assert isinstance(keep_decoded(files, "auto").open(training=True), Pictures)
    monkeypatch.undo()
    assert isinstance(keep_decoded(files, "auto").open(training=True), DecodedImages)


def test_other_modes_are_kept_in_rgb(make_data):
    data, root = make_data("folder")
    for name, mode in (("n00000001/n00000001_0.JPEG", "L"), ("n00000002/n00000002_1.JPEG", "CMYK")):
        Image.new(mode, (9, 7)).save(root / "train" / name)
    kept = keep_decoded(load_dataset(data).train, True).open(training=True)
    assert sum(kept[i][0].size == (9, 7) for i in range(24)) == 2


def test_an_image_that_cannot_be_decoded_is_named(make_data):
    data, root = make_data("folder")
    path = root / "train/n00000003/n00000003_2.JPEG"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match="cannot be decoded") as caught:
        keep_decoded(load_dataset(data).train, True).open(training=True)
    assert caught.value.where == str(path)
