import os
import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from swatbench.data import shares
from swatbench.data.batches import Normalise, TestBatches, TrainBatches
from swatbench.data.draws import draw_order, image_seed
from swatbench.data.erasing import erase_, make_erasing, pack
from swatbench.data.loader import TestLoader, TrainLoader
from swatbench.data.loading import make_test_batches, make_train_batches
from swatbench.data.seeded import MemoryImages, SeededImages, seeded
from swatbench.data.sources import load_dataset
from swatbench.data.streams import TestStream, TrainStream
from swatbench.data.transforms import train_transform
from swatbench.data.workers import Workers
from swatbench.errors import DataError, MachineError, SuiteError
from swatbench.spec.data import Data
from swatbench.spec.recipe import Augmentation, Recipe
from swatbench.world import ALONE, World
from tests.data.jpegs import images_of, make_jpeg_folder, make_shards

CPU = torch.device("cpu")
HEAVY = Augmentation(crop="resized", auto_augment="rand-m9-mstd0.5-inc1", erasing_probability=0.5)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
TRAIN, TEST = 26, 11


def opened(source, root, *, train_images=TRAIN, test_images=TEST):
    data = Data(
        source=source,
        root=str(root),
        train_images=train_images,
        test_images=test_images,
        num_classes=4,
        mean=MEAN,
        std=STD,
        keep_decoded=False,
    )
    return load_dataset(data)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return make_jpeg_folder(tmp_path_factory.mktemp("jpegs"), train=TRAIN, test=TEST, size=32)


@pytest.fixture(scope="session")
def files(folder):
    return opened("folder", folder)


@pytest.fixture(scope="session")
def shards(folder, tmp_path_factory):
    return opened("wds/some", make_shards(tmp_path_factory.mktemp("shards"), folder, shards=4))


def train(
    dataset,
    augmentation=HEAVY,
    *,
    batch_size=8,
    micro=None,
    seed=3,
    workers=0,
    world=ALONE,
    stall_s=60.0,
    img_size=32,
    device=CPU,
):
    return make_train_batches(
        dataset,
        recipe=Recipe(epochs=1, batch_size=batch_size, learning_rate=0.1, augmentation=augmentation),
        img_size=img_size,
        micro_batch_size=micro or batch_size // world.size,
        seed=seed,
        device=device,
        world=world,
        workers=workers,
        stall_s=stall_s,
    )


def whole(batches, epoch=1, *, start=0):
    images, labels = zip(*batches(epoch, start=start), strict=True)
    return torch.cat(images), torch.cat(labels)


def dealt(dataset, *, W, **options):
    """An epoch of W processes, put together in the order in which one process would see it."""
    ranks = [train(dataset, world=World(rank=r, size=W), **options) for r in range(W)]
    rounds = zip(*(list(each(1)) for each in ranks), strict=True)
    return torch.cat([images for parts in rounds for images, _ in parts])


def in_order(values, *, micro, batch_size=8):
    """Values of an epoch in its order, from which micro-batch k of M takes every M-th of a step."""
    return values.unflatten(0, (-1, batch_size // micro, micro)).transpose(1, 2).flatten(0, 2)


@pytest.mark.parametrize("augmentation", [HEAVY, Augmentation(crop="resized", color_jitter=0.4)])
def test_pixels_are_equal_whatever_batch_size_workers_processes_and_start(files, augmentation):
    expected, labels = whole(train(files, augmentation))
    assert expected.shape == (24, 3, 32, 32)
    assert expected.dtype == torch.float32
    assert whole(train(files, augmentation, batch_size=12))[0].equal(expected)
    assert in_order(whole(train(files, augmentation, micro=2))[0], micro=2).equal(expected)
    assert in_order(dealt(files, W=2, augmentation=augmentation, micro=2), micro=2).equal(expected)
    assert whole(train(files, augmentation), start=2)[0].equal(expected[16:])
    for workers in (1, 2):
        batches = train(files, augmentation, workers=workers, micro=4)
        assert in_order(whole(batches)[0], micro=4).equal(expected)
        assert in_order(whole(batches)[0], micro=4).equal(expected)
        assert in_order(whole(batches, start=1)[1], micro=4).equal(labels[8:])


def test_an_epoch_that_was_left_in_the_middle_does_not_reach_into_the_next(files):
    batches = train(files, workers=2, micro=4)
    next(iter(batches(0)))
    assert whole(batches)[0].equal(whole(train(files, micro=4))[0])


def test_seed_and_epoch_change_what_is_seen(files):
    first = whole(train(files))[0]
    assert not whole(train(files), 2)[0].equal(first)
    assert not whole(train(files, seed=4))[0].equal(first)


def test_labels_are_those_of_the_images_in_their_order(files, folder):
    order = draw_order(TRAIN, seed=3, epoch=1)[:24]
    names = sorted(path.name for path in (folder / "train").iterdir())
    expected = [names.index(Path(files.train.filename(int(i))).name.split("_")[0]) for i in order]
    assert whole(train(files))[1].tolist() == expected


def test_an_image_is_what_the_transform_gives_from_its_own_seed(make_dataset):
    dataset = make_dataset(10, 4)
    images, _ = whole(train(dataset, batch_size=5), 2)
    transform = train_transform(HEAVY, img_size=32, mean=dataset.mean, std=dataset.std)
    for place, index in enumerate(draw_order(10, seed=3, epoch=2).tolist()):
        with seeded(image_seed(seed=3, epoch=2, index=index, copy=0), restore=True):
            image = Image.fromarray(dataset.train.pixels[index].permute(1, 2, 0).numpy())
            pixels = transform(image)
            sample = pack([(pixels, 0, make_erasing(HEAVY)(pixels))])
        normalise = Normalise(dataset, device=CPU, dtype=torch.float32)
        assert images[place].equal(erase_(normalise(sample.pixels), sample)[0])


def test_uint8_pixels_are_normalised(make_dataset):
    plain = Augmentation(
        crop="resized", crop_scale=(1, 1), crop_ratio=(1, 1), flip_probability=0, color_jitter=1e-9
    )
    dataset = make_dataset(10, 4)
    images, _ = whole(train(dataset, plain, batch_size=5))
    order = draw_order(10, seed=3, epoch=1)
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (dataset.mean, dataset.std))
    expected = (dataset.train.pixels[order] / 255 - mean) / std
    assert torch.allclose(images, expected, atol=1e-5)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_main_process_keeps_its_own_random_states(files, workers):
    def states():
        legacy = np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002
        return random.getstate(), legacy, torch.get_rng_state().tolist()

    batches = train(files, workers=workers)
    list(batches(0))
    before = states()
    list(batches(1))
    assert states() == before


def test_copies_of_an_image_follow_one_another_and_differ(files):
    repeated = Augmentation(**{**HEAVY.model_dump(), "repeats": 3})
    images, labels = whole(train(files, repeated))
    order = np.repeat(draw_order(TRAIN, seed=3, epoch=1), 3)[:24]
    assert labels[:3].tolist() == [labels[0].item()] * 3
    assert not images[0].equal(images[1])
    assert images[0].equal(whole(train(files))[0][0])
    assert len(set(order.tolist())) == 8


def test_mixed_targets_do_not_depend_on_processes_or_workers(files):
    mixed = Augmentation(**{**HEAVY.model_dump(), "mixup_alpha": 0.8, "cutmix_alpha": 1.0})
    images, targets = whole(train(files, mixed, micro=4))
    assert targets.shape == (24, 4)
    assert targets.dtype == torch.float32
    assert torch.allclose(targets.sum(1), torch.ones(24), atol=1e-5)
    assert dealt(files, W=2, augmentation=mixed, micro=4).equal(images)
    assert whole(train(files, mixed, micro=4, workers=1), start=1)[0].equal(images[8:])


def test_digests_follow_what_they_digest(files):
    order, changes = train(files).digests(2)
    assert train(files, workers=2, micro=2).digests(2) == (order, changes)
    assert train(files, seed=4).digests(2)[0] != order
    assert train(files, seed=4).digests(2)[1] != changes
    assert train(files).digests(3)[1] != changes
    assert train(files, img_size=64).digests(2) == (order, train(files, img_size=64).digests(2)[1])
    assert train(files, img_size=64).digests(2)[1] != changes
    other = Augmentation(**{**HEAVY.model_dump(), "color_jitter": 0.1})
    assert train(files, other).digests(2)[1] != changes


def test_the_fastest_way_is_chosen(files, shards, make_dataset):
    memory = make_dataset(16, 8)
    assert isinstance(train(memory, Augmentation()), TrainBatches)
    assert isinstance(train(memory, Augmentation(auto_augment="3a")), TrainLoader)
    assert isinstance(train(files), TrainLoader)
    assert isinstance(train(shards), TrainStream)
    assert isinstance(examined(memory), TestBatches)
    assert isinstance(examined(files), TestLoader)
    assert isinstance(examined(shards), TestStream)


def test_padded_crops_of_single_images_keep_their_size(make_dataset):
    images, _ = whole(train(make_dataset(16, 4), Augmentation(color_jitter=0.1), workers=1))
    assert images.shape == (16, 3, 32, 32)


def examined(dataset, *, workers=0, world=ALONE):
    data = Data(source="folder", train_images=TRAIN, test_images=TEST, num_classes=4)
    options = {"data": data, "img_size": 32, "device": CPU, "stall_s": 60.0}
    return make_test_batches(dataset.test, dataset, workers=workers, world=world, **options)


@pytest.mark.parametrize("kind", ["files", "shards"])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_test_image_is_tested_once_whatever_the_processes(kind, workers, request, folder):
    dataset = request.getfixturevalue(kind)
    alone = examined(dataset, workers=workers)
    images, labels = (torch.cat(parts) for parts in zip(*alone, strict=True))
    assert (alone.images, alone.positions.tolist()) == (TEST, list(range(TEST)))
    assert images.shape == (TEST, 3, 32, 32)
    assert sorted(labels.tolist()) == sorted(label for _, label in images_of(folder, "test"))
    assert torch.cat([images for images, _ in alone]).equal(images)
    ranks = [examined(dataset, workers=workers, world=World(rank=r, size=3)) for r in range(3)]
    for each in ranks:
        mine, its_labels = (torch.cat(parts) for parts in zip(*each, strict=True))
        assert mine.equal(images[each.positions])
        assert its_labels.equal(labels[each.positions])
    assert sorted(i for each in ranks for i in each.positions.tolist()) == list(range(TEST))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_decoded_is_named(tmp_path, workers):
    root = make_jpeg_folder(tmp_path, train=8, test=8)
    dataset = opened("folder", root, train_images=8, test_images=8)
    broken = root / "train" / "n00000002" / "n00000002_5.JPEG"
    broken.write_bytes(broken.read_bytes()[:300])
    for batches in (
        train(dataset, workers=workers)(0),
        examined(replace(dataset, test=dataset.train), workers=workers),
    ):
        with pytest.raises(
            DataError, match=r"n00000002_5.JPEG: Image 3 of train cannot be decoded "
        ) as caught:
            list(batches)
        assert "\n" not in str(caught.value)


class Odd(SeededImages):
    """A dataset in which reading does what is asked for."""

    def __init__(self, images, what):
        transform = train_transform(HEAVY, img_size=32, mean=MEAN, std=STD)
        super().__init__(MemoryImages(images), transform=transform, seed=0)
        self.what = what

    def __getitems__(self, keys):
        self.what()
        return super().__getitems__(keys)


@pytest.fixture
def odd(make_dataset):
    def make(what, *, stall_s):
        batches = train(make_dataset(16, 4), workers=1, stall_s=stall_s)
        loader = torch.utils.data.DataLoader(
            Odd(make_dataset(16, 4).train, what),
            batch_sampler=batches._keys,
            **Workers(count=1, stall_s=stall_s, device=CPU).options(),
        )
        batches._loader = loader
        return batches

    return make


def test_a_stalled_loader_is_told_with_what_to_do(odd):
    started_s = time.monotonic()
    with pytest.raises(DataError, match=r"No batch came within 0.5 s") as caught:
        list(odd(lambda: time.sleep(2), stall_s=0.5)(0))
    assert "execution.stall_s" in str(caught.value)
    assert time.monotonic() - started_s < 10


@pytest.mark.parametrize("what", [lambda: os._exit(3), lambda: os.kill(os.getpid(), 9)])
def test_a_dead_worker_is_told_in_one_sentence(odd, what):
    with pytest.raises(MachineError, match="A process that decodes images died: ") as caught:
        list(odd(what, stall_s=20)(0))
    assert "\n" not in str(caught.value)


def test_a_mistake_of_the_program_stays_what_it_is(odd):
    def wrong():
        raise RuntimeError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"):
        list(odd(wrong, stall_s=20)(0))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_streams_give_every_process_as_many_micro_batches_as_it_needs(shards, workers):
    for r in range(2):
        batches = train(shards, workers=workers, micro=2, world=World(rank=r, size=2))
        assert (batches.steps_per_epoch, batches.micro_batches) == (3, 2)
        found = list(batches(1))
        assert [tuple(images.shape) for images, _ in found] == [(2, 3, 32, 32)] * 6
        assert all(images.equal(again) for (images, _), (again, _) in zip(found, batches(1), strict=True))
        late = list(batches(1, start=1))
        assert all(images.equal(again) for (images, _), (again, _) in zip(found[2:], late, strict=True))


@pytest.mark.parametrize("repeats", [1, 3])
def test_what_a_stream_passes_over_is_not_decoded(shards, monkeypatch, repeats):
    decode, decoded = shares._decoded, []

    def counted(sample):
        decoded.append(sample["__key__"])
        return decode(sample)

    monkeypatch.setattr(shares, "_decoded", counted)
    # This process has one shard of 6 or 7 images for its 8 steps of one image, and reads it again.
    repeated = Augmentation(**{**HEAVY.model_dump(), "repeats": repeats})
    world = World(rank=2, size=3)
    batches = train(shards, repeated, batch_size=3, micro=1, world=world)
    expected = [images for images, _ in batches(1)]
    assert len(expected) == 8
    for start in (1, 4, 7):
        decoded.clear()
        found = [images for images, _ in batches(1, start=start)]
        assert all(images.equal(again) for images, again in zip(found, expected[start:], strict=True))
        assert len(decoded) == 1 + 7 // repeats - start // repeats


def test_streams_of_one_worker_see_each_image_once_in_another_order_each_epoch(shards):
    plain = Augmentation(crop="resized", crop_scale=(1, 1), flip_probability=0, interpolation="bilinear")
    batches = train(shards, plain, batch_size=TRAIN)
    first, second = (whole(batches, epoch)[0] for epoch in (0, 1))
    assert len(first.flatten(1).unique(dim=0)) == TRAIN
    assert not first.equal(second)
    assert whole(train(shards, plain, batch_size=TRAIN, workers=1), 1)[0].equal(second)


def test_the_order_of_a_stream_follows_from_the_number_of_workers(shards):
    digests = [train(shards, workers=workers).digests(2) for workers in (0, 1, 2)]
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[2][0]
    assert train(shards, seed=4).digests(2)[0] != digests[0][0]


def test_streams_need_a_shard_a_process(shards):
    with pytest.raises(DataError, match="4 shards for 8 processes"):
        train(shards, world=World(rank=0, size=8), batch_size=8, micro=1)
    assert train(shards, workers=7, world=World(rank=0, size=2))._changes.workers.count == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_in_a_shard_is_named(tmp_path, workers):
    root = make_shards(tmp_path / "shards", make_jpeg_folder(tmp_path / "f", train=8, test=8))
    shard = root / "train-0001.tar"
    content = bytearray(shard.read_bytes())
    start = content.index(b"\xff\xd8\xff")
    content[start : start + 20] = bytes(20)
    shard.write_bytes(content)
    dataset = opened("wds/some", root, train_images=8, test_images=8)
    for batches in (
        train(dataset, workers=workers)(0),
        examined(replace(dataset, test=dataset.train), workers=workers),
    ):
        with pytest.raises(
            DataError, match=r"Image n00000001_4 in train-0001\.tar of train cannot be decoded"
        ):
            list(batches)


def test_a_stream_with_fewer_test_images_than_stated_is_refused(shards):
    with pytest.raises(DataError, match="gave 11 images where 12 were expected"):
        list(examined(replace(shards, test=replace(shards.test, images=TEST + 1))))


def test_micro_batches_must_be_dealt_out_evenly(files):
    with pytest.raises(SuiteError) as caught:
        train(files, batch_size=12, micro=4, world=World(rank=0, size=2))
    assert caught.value.where == "recipe.micro_batch_size"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pixels_are_the_same_on_cuda(files):
    found, labels = whole(train(files, workers=1, device=torch.device("cuda")))
    expected, their_labels = whole(train(files))
    assert torch.allclose(found.cpu(), expected, atol=1e-6)
    assert labels.cpu().equal(their_labels)
