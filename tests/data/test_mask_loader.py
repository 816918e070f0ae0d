import os
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from swatbench.data.draws import draw_order, order_digest
from swatbench.data.mask_draws import draw_mask_changes
from swatbench.data.mask_loader import MaskTestLoader, MaskTrainLoader
from swatbench.data.mask_loading import make_mask_test_batches, make_mask_train_batches
from swatbench.data.mask_transforms import change_masked
from swatbench.data.masks import MaskDataset, MaskedImages, MaskSplit, MemoryMasks, Numbering
from swatbench.data.sources import load_dataset
from swatbench.errors import DataError, MachineError, SuiteError
from swatbench.spec.data import Data
from swatbench.spec.recipe import Recipe
from swatbench.spec.segmentation import MaskAugmentation, Segmentation
from swatbench.world import ALONE, World
from tests.data.mask_folders import make_mask_folder, mask_data

CPU = torch.device("cpu")
TRAIN, TEST, S = 13, 5, 24
HEAVY = Segmentation(crop_size=S, short_side=24, long_side=48)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    return make_mask_folder(tmp_path_factory.mktemp("scenes"), train=TRAIN, test=TEST)


@pytest.fixture(scope="session")
def files(scenes):
    return load_dataset(mask_data(scenes, train_images=TRAIN, test_images=TEST, mean=MEAN, std=STD))


@pytest.fixture(scope="session")
def memory():
    rng = np.random.default_rng(0)
    splits = {}
    for name, n in (("train", TRAIN), ("test", TEST)):
        pixels = rng.integers(0, 256, (n, 20, 30), dtype=np.uint8)
        pairs = MemoryMasks(pixels, pixels // 64)
        splits[name] = MaskSplit(name=name, images=n, digest=name, pairs=pairs)
    numbering = Numbering(num_classes=4, unlabelled=None)
    return MaskDataset(name="noise", classes=tuple("abcd"), mean=MEAN, std=STD, numbering=numbering, **splits)


def train(
    dataset,
    *,
    segmentation=HEAVY,
    batch_size=4,
    steps=None,
    micro=None,
    seed=3,
    workers=0,
    world=ALONE,
    stall_s=60.0,
    device=CPU,
):
    return make_mask_train_batches(
        dataset,
        segmentation=segmentation,
        recipe=Recipe(epochs=2, batch_size=batch_size, learning_rate=0.1, steps_per_epoch=steps),
        micro_batch_size=micro or batch_size // world.size,
        seed=seed,
        device=device,
        world=world,
        workers=workers,
        stall_s=stall_s,
    )


def examined(dataset, *, workers=0, world=ALONE, stall_s=60.0, **options):
    shared = {"device": CPU, "world": world, "workers": workers, "stall_s": stall_s}
    return make_mask_test_batches(dataset, **shared, **options)


def whole(batches, epoch=1, *, start=0):
    images, labels = zip(*batches(epoch, start=start), strict=True)
    return torch.cat(images), torch.cat(labels)


def same(found, expected):
    return all(a.equal(b) for a, b in zip(found, expected, strict=True))


def in_order(found, *, micro, batch_size=4):
    """Values of an epoch in its order, from which micro-batch k of M takes every M-th of a step."""
    cut = (-1, batch_size // micro, micro)
    return tuple(values.unflatten(0, cut).transpose(1, 2).flatten(0, 2) for values in found)


def dealt(dataset, *, W, **options):
    """An epoch of W processes, put together in the order in which one process would see it."""
    ranks = [list(train(dataset, world=World(rank=r, size=W), **options)(1)) for r in range(W)]
    rounds = [batch for parts in zip(*ranks, strict=True) for batch in parts]
    return tuple(torch.cat(values) for values in zip(*rounds, strict=True))


@pytest.mark.parametrize("kind", ["files", "memory"])
@pytest.mark.parametrize("steps", [None, 5])
def test_batches_are_equal_whatever_workers_processes_micro_batches_and_start(kind, steps, request):
    dataset = request.getfixturevalue(kind)
    expected = whole(train(dataset, steps=steps))
    images, labels = expected
    n = 4 * (steps or TRAIN // 4)
    assert (images.shape, images.dtype) == ((n, 3, S, S), torch.float32)
    assert (labels.shape, labels.dtype) == ((n, S, S), torch.int64)
    assert same(in_order(whole(train(dataset, steps=steps, micro=2)), micro=2), expected)
    assert same(in_order(dealt(dataset, W=2, steps=steps), micro=2), expected)
    assert same(in_order(dealt(dataset, W=2, steps=steps, micro=1), micro=1), expected)
    for start in range(1, n // 4):
        late = whole(train(dataset, steps=steps), start=start)
        assert same(late, [values[4 * start :] for values in expected])
    for workers in (1, 2):
        batches = train(dataset, steps=steps, workers=workers)
        assert same(whole(batches), expected)
        assert same(whole(batches, start=2), [values[8:] for values in expected])


def test_each_image_is_changed_by_its_own_draws_and_normalised(files):
    batches = train(files, steps=5)
    images, labels = whole(batches)
    # Epoch 1 begins with visit 20 of the run: pass 1, place 7.
    stream = [
        (p // TRAIN, draw_order(TRAIN, seed=3, epoch=p // TRAIN)[p % TRAIN].item()) for p in range(20, 40)
    ]
    assert {each for each, _ in stream} == {1, 2, 3}
    for image, mask, (visited_in, index) in zip(images, labels, stream, strict=True):
        draws = draw_mask_changes(seed=3, visited_in=visited_in, index=index)
        one = change_masked(*files.train.pairs[index], segmentation=HEAVY, draws=draws)
        assert mask.equal(one.labels.long())
        normal = (one.pixels / 255 - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)
        h, w = one.height, one.width
        assert torch.allclose(image[:, :h, :w], normal[:, :h, :w], atol=1e-5)
        # What was filled up is the mean colour, exactly.
        assert (image[:, h:] == 0).all()
        assert (image[:, :, w:] == 0).all()
        assert (mask[h:] == 255).all()
    assert (labels == 255).any()
    assert sorted(labels.unique().tolist()) == [*range(5), 255]


def test_an_epoch_of_one_pass_drops_the_rest(files):
    batches = train(files)
    assert (batches.steps_per_epoch, batches.batch_size, batches.micro_batches) == (3, 4, 1)
    expected = order_digest(TRAIN, repeats=1, seed=3, epochs=2, images_per_epoch=12)
    assert batches.digests(2)[0] == expected
    with pytest.raises(SuiteError, match="cannot be filled from 13"):
        train(files, batch_size=14)


def test_a_step_may_be_larger_than_a_pass_where_epochs_run_on(memory):
    batches = train(memory, batch_size=30, steps=2)
    assert (batches.steps_per_epoch, batches.micro_batches) == (2, 1)
    assert len(whole(batches)[0]) == 60


def test_micro_batches_must_be_dealt_out_evenly(files):
    with pytest.raises(SuiteError) as caught:
        train(files, batch_size=12, micro=4, world=World(rank=0, size=2))
    assert caught.value.where == "recipe.micro_batch_size"


def test_seed_and_epoch_change_what_is_seen(memory):
    first = whole(train(memory))[0]
    assert not whole(train(memory), 2)[0].equal(first)
    assert not whole(train(memory, seed=4))[0].equal(first)


def test_digests_move_with_all_that_batches_follow_from(files):
    order, changes = train(files, steps=5).digests(2)
    assert (order, changes) == train(files, steps=5, micro=2, workers=2).digests(2)
    for other in ({"seed": 4}, {"steps": 6}, {"steps": None}):
        found = train(files, **({"steps": 5} | other)).digests(2)
        assert found[0] != order
        assert found[1] != changes
    assert train(files, steps=5).digests(3)[0] != order
    for update in (
        {"crop_size": 16},
        {"short_side": 20},
        {"long_side": 50},
        {"augmentation": MaskAugmentation(flip_probability=0.4)},
        {"augmentation": MaskAugmentation(photometric_distortion=False)},
    ):
        found = train(files, steps=5, segmentation=HEAVY.model_copy(update=update)).digests(2)
        assert found[0] == order
        assert found[1] != changes
    # The head, the tests and what is shown are no part of it.
    other = HEAVY.model_copy(update={"decoder_channels": 64, "shown": 0})
    assert train(files, steps=5, segmentation=other).digests(2) == (order, changes)
    assert train(replace(files, mean=(0.1, 0.2, 0.3)), steps=5).digests(2)[1] != changes


@pytest.mark.parametrize("kind", ["files", "memory"])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_test_image_is_tested_once_in_its_own_size_whatever_the_processes(kind, workers, request):
    dataset = request.getfixturevalue(kind)
    alone = examined(dataset, workers=workers)
    assert isinstance(alone, MaskTestLoader)
    assert (alone.images, alone.positions.tolist(), alone.positions.dtype) == (
        TEST,
        list(range(TEST)),
        np.int64,
    )
    batches = list(alone)
    for i, (image, labels) in enumerate(batches):
        pixels, mask = dataset.test.example(i)
        assert (image.shape, image.dtype) == ((1, 3, *mask.shape), torch.float32)
        assert (labels.shape, labels.dtype) == ((1, *mask.shape), torch.int64)
        assert np.array_equal(labels[0], mask)
        assert np.allclose(image[0].permute(1, 2, 0), (pixels / 255 - MEAN) / STD, atol=1e-5)
    assert all(same(found, expected) for found, expected in zip(alone, batches, strict=True))
    ranks = [examined(dataset, workers=workers, world=World(rank=r, size=2)) for r in range(2)]
    for each in ranks:
        found = list(each)
        assert len(found) == len(each.positions)
        assert all(same(batch, batches[i]) for batch, i in zip(found, each.positions.tolist(), strict=True))
    assert sorted(i for each in ranks for i in each.positions.tolist()) == list(range(TEST))
    assert not list(examined(dataset, workers=workers, world=World(rank=7, size=8)))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mask_that_does_not_fit_is_named(tmp_path, workers):
    root = make_mask_folder(tmp_path)
    dataset = load_dataset(mask_data(root))
    broken = root / "annotations" / "training" / "scene_4.png"
    broken.write_bytes((root / "annotations" / "training" / "scene_0.png").read_bytes())
    (root / "annotations" / "validation" / "inner" / "3.png").write_bytes(b"no image")
    for batches, said in (
        (train(dataset, workers=workers)(0), r"scene_4.png: Image 5 of training is \d+ × \d+, and its mask "),
        (train(dataset, workers=workers)(1), r"scene_4.png: Image 5 of training is \d+ × \d+, and its mask "),
        (examined(dataset, workers=workers), r"3.png: The mask of image 1 of validation cannot be decoded "),
    ):
        with pytest.raises(DataError, match=said) as caught:
            list(batches)
        assert "\n" not in str(caught.value)


class Odd(MaskedImages):
    """Images at which reading does what is asked for."""

    def __init__(self, pairs, what):
        self.pairs, self.what = pairs, what

    def __getitem__(self, index):
        self.what()
        return self.pairs[index]


def test_a_stalled_loader_and_a_dead_worker_are_told(memory):
    def odd(what):
        return replace(memory, train=replace(memory.train, pairs=Odd(memory.train.pairs, what)))

    with pytest.raises(DataError, match=r"No batch came within 0.5 s"):
        list(train(odd(lambda: time.sleep(2)), workers=1, stall_s=0.5)(0))
    with pytest.raises(MachineError, match="A process that decodes images died: "):
        list(train(odd(lambda: os._exit(3)), workers=1)(0))


def test_the_garments_inside_the_package_make_batches():
    dataset = load_dataset(Data(source="garment_canvases"))
    batches = train(dataset, segmentation=Segmentation(crop_size=64, short_side=64, long_side=128))
    assert isinstance(batches, MaskTrainLoader)
    images, labels = next(iter(batches(0)))
    assert images.shape == (4, 3, 64, 64)
    assert labels[labels < 255].max() < 11
    # The training canvases have mean 0 and standard deviation 1 once they are normalised.
    pixels = torch.from_numpy(dataset.train.pairs.pixels[:300]).float() / 255
    normal = (pixels - dataset.mean[0]) / dataset.std[0]
    assert normal.mean().item() == pytest.approx(0, abs=0.03)
    assert normal.std().item() == pytest.approx(1, abs=0.03)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pixels_are_the_same_on_cuda(files):
    images, labels = whole(train(files, workers=1, device=torch.device("cuda")))
    expected, masks = whole(train(files))
    assert torch.allclose(images.cpu(), expected, atol=1e-6)
    assert labels.cpu().equal(masks)
