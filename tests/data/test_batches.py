import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.data.distributed_sampler import RepeatAugSampler

from swatbench.data.batches import TestBatches, TrainBatches, crop_and_flip
from swatbench.data.draws import draw_augmentation, draw_order
from swatbench.data.mixing import make_mixing
from swatbench.errors import SuiteError
from swatbench.spec.recipe import Augmentation, Recipe
from swatbench.world import World

CPU = torch.device("cpu")
PLAIN = Augmentation()
NONE = Augmentation(crop_padding=0, flip_probability=0.0)


def crop_by_hand(image, y, x, flip, padding):
    """One image (c, h, w), by numpy and slices."""
    padded = np.pad(image.numpy(), ((0, 0), (padding, padding), (padding, padding)))
    cut = padded[:, y : y + image.shape[1], x : x + image.shape[2]]
    return cut[:, :, ::-1] if flip else cut


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 5, 9), (1, 4, 4)])
def test_crop_and_flip_equals_padding_and_slicing_one_by_one(padding, shape):
    rng = np.random.default_rng(padding)
    pixels = torch.from_numpy(rng.integers(1, 256, (40, *shape), dtype=np.uint8))
    y, x = (torch.from_numpy(rng.integers(0, 2 * padding + 1, 40)) for _ in range(2))
    flip = torch.from_numpy(rng.random(40) < 0.5)
    found = crop_and_flip(pixels, y, x, flip, padding=padding)
    assert found.dtype == torch.uint8
    for i in range(40):
        assert (found[i].numpy() == crop_by_hand(pixels[i], int(y[i]), int(x[i]), flip[i], padding)).all()


def test_crop_and_flip_leaves_its_input_alone(make_images):
    pixels = make_images(4).pixels
    before = pixels.clone()
    y = torch.tensor([0, 8, 3, 4])
    crop_and_flip(pixels, y, y, torch.tensor([True, False, True, False]), padding=4)
    assert (pixels == before).all()


@pytest.fixture
def train_batches(make_dataset):
    def make(augmentation=PLAIN, *, batch_size=8, seed=5, train=30):
        return TrainBatches(
            make_dataset(train, 10), augmentation=augmentation, batch_size=batch_size, seed=seed, device=CPU
        )

    return make


def test_batches_are_the_drawn_images_with_the_drawn_changes(make_dataset, train_batches):
    dataset = make_dataset(30, 10)
    order = draw_order(30, seed=5, epoch=2)
    draws = draw_augmentation(30, PLAIN, seed=5, epoch=2)
    images, labels = (torch.cat(parts) for parts in zip(*train_batches()(2), strict=True))
    assert images.shape == (24, 3, 32, 32)
    assert images.dtype == torch.float32
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (dataset.mean, dataset.std))
    for place, i in enumerate(order[:24]):
        cut = crop_by_hand(dataset.train.pixels[i], draws.y[i], draws.x[i], draws.flip[i], 4)
        assert images[place].numpy() == pytest.approx((cut / 255 - mean) / std, abs=1e-5)
        assert labels[place] == dataset.train.labels[i]


def test_the_last_smaller_batch_is_dropped(train_batches):
    batches = train_batches()
    assert (batches.steps_per_epoch, batches.batch_size) == (3, 8)
    assert [len(labels) for _, labels in batches(0)] == [8, 8, 8]


def test_an_epoch_repeats_and_another_differs(train_batches):
    batches = train_batches()
    first, again, other = (next(iter(batches(epoch)))[0] for epoch in (0, 0, 1))
    assert (first == again).all()
    assert not (first == other).all()
    assert not (first == next(iter(train_batches(seed=6)(0)))[0]).all()


def test_an_image_looks_the_same_whatever_the_batch_size(train_batches):
    def looks(batches):
        images, _ = (torch.cat(parts) for parts in zip(*batches(1), strict=True))
        return images

    assert (looks(train_batches(batch_size=5)) == looks(train_batches(batch_size=15))).all()


def test_an_epoch_can_start_at_a_later_step(train_batches):
    batches = train_batches()
    late, whole = list(batches(1, start=2)), list(batches(1))
    assert len(late) == 1
    assert (late[0][0] == whole[2][0]).all()


def test_the_global_random_state_is_neither_read_nor_moved(train_batches):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = next(iter(train_batches()(0)))[0]
    assert (torch.get_rng_state() == before).all()
    torch.manual_seed(1)
    assert (next(iter(train_batches()(0)))[0] == first).all()


def test_the_digests_cover_the_images_seen(train_batches):
    order, changes = train_batches().digests(2)
    assert train_batches(train=24).digests(2)[0] != order
    assert train_batches(batch_size=4).digests(2)[0] != order
    assert train_batches(batch_size=4).digests(2)[1] == changes
    assert train_batches(NONE).digests(2) == (order, train_batches(NONE).digests(2)[1])


def test_a_batch_larger_than_the_dataset_is_told_to_the_user(train_batches):
    with pytest.raises(SuiteError) as caught:
        train_batches(batch_size=31)
    assert caught.value.where == "recipe.batch_size"
    assert "31 images cannot be filled from 30" in caught.value.what


def test_without_augmentation_pixels_are_only_normalised(make_dataset, train_batches):
    dataset = make_dataset(30, 10)
    images, _ = next(iter(train_batches(NONE)(0)))
    first = dataset.train.pixels[draw_order(30, seed=5, epoch=0)[:8]]
    back = images * torch.tensor(dataset.std).reshape(3, 1, 1) + torch.tensor(dataset.mean).reshape(3, 1, 1)
    assert (255 * back).round().to(torch.uint8).equal(first)


def looks(batches, epoch=1, *, start=0):
    return torch.cat([images for images, _ in batches(epoch, start=start)])


def in_order(micro_batches, *, batch_size):
    """An epoch's images in their order, from which micro-batch k of M takes every M-th of a step."""
    return (
        torch.cat(micro_batches)
        .unflatten(0, (-1, batch_size // len(micro_batches[0]), len(micro_batches[0])))
        .transpose(1, 2)
        .flatten(0, 2)
    )


def test_micro_batches_of_all_processes_are_the_images_of_one_process(make_dataset):
    def make(**options):
        return TrainBatches(
            make_dataset(30, 10), augmentation=PLAIN, batch_size=12, seed=5, device=CPU, **options
        )

    whole = looks(make())
    for W, micro in ((1, 3), (2, 3), (2, 6), (3, 2), (4, None)):
        ranks = [make(micro_batch_size=micro, world=World(rank=r, size=W)) for r in range(W)]
        assert {each.micro_batches for each in ranks} == {12 // ((micro or 3) * W)}
        rounds = zip(*(list(each(1)) for each in ranks), strict=True)
        assert in_order([images for parts in rounds for images, _ in parts], batch_size=12).equal(whole)
        assert looks(ranks[0], start=1).equal(looks(ranks[0])[12 // W :])


@pytest.mark.parametrize(("batch_size", "micro", "W"), [(12, 5, 1), (12, 4, 2), (10, None, 4)])
def test_micro_batches_that_do_not_make_a_step_are_refused(make_dataset, batch_size, micro, W):
    with pytest.raises(SuiteError) as caught:
        TrainBatches(
            make_dataset(30, 10),
            augmentation=PLAIN,
            batch_size=batch_size,
            seed=5,
            device=CPU,
            micro_batch_size=micro,
            world=World(rank=0, size=W),
        )
    assert caught.value.where == "recipe.micro_batch_size"


def test_copies_of_an_image_are_changed_in_their_own_way(train_batches):
    images = looks(train_batches(Augmentation(repeats=2), train=24))
    order = draw_order(24, seed=5, epoch=1)
    draws = [draw_augmentation(24, PLAIN, seed=5, epoch=1, copy=copy) for copy in (0, 1)]
    pixels = looks(train_batches(NONE, train=24))
    places = {int(i): place for place, i in enumerate(order)}
    for place in range(24):
        i, copy = order[place // 2], place % 2
        zero = -torch.tensor((0.5, 0.4, 0.3)) / torch.tensor((0.2, 0.25, 0.5))
        padded = zero.reshape(3, 1, 1).expand(3, 40, 40).clone()
        padded[:, 4:36, 4:36] = pixels[places[int(i)]]
        y, x = int(draws[copy].y[i]), int(draws[copy].x[i])
        cut = padded[:, y : y + 32, x : x + 32]
        assert torch.allclose(images[place], cut.flip(2) if draws[copy].flip[i] else cut, atol=1e-5)


@pytest.mark.parametrize(("micro", "W"), [(4, 1), (2, 1), (3, 2), (2, 3)])
def test_copies_of_an_image_are_dealt_out_as_by_timm_to_as_many_processes(
    make_dataset, monkeypatch, micro, W
):
    M = 12 // micro
    order = torch.from_numpy(draw_order(36, seed=5, epoch=1))
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: order)
    expected = [list(RepeatAugSampler(range(36), num_replicas=M, rank=k, num_repeats=3)) for k in range(M)]
    dataset = make_dataset(36, 10)
    train = replace(dataset.train, labels=torch.arange(36))
    numbered = replace(dataset, train=train, classes=tuple(str(i) for i in range(36)))
    options = {"augmentation": Augmentation(repeats=3), "batch_size": 12, "micro_batch_size": micro}
    for rank in range(W):
        world = World(rank=rank, size=W)
        batches = TrainBatches(numbered, seed=5, device=CPU, world=world, **options)
        for i, (_, indices) in enumerate(batches(1)):
            step, k = i // (M // W), rank + W * (i % (M // W))
            assert indices.tolist() == expected[k][step * micro : (step + 1) * micro]
            assert len(indices.unique()) == micro


def test_mixed_batches_are_those_of_the_mixing_and_in_the_digest(make_dataset):
    augmentation = Augmentation(mixup_alpha=0.8, cutmix_alpha=1.0)
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=0.1, augmentation=augmentation)
    mixing = make_mixing(recipe, num_classes=10, micro_batch_size=4, seed=5)
    options = {"augmentation": augmentation, "batch_size": 8, "seed": 5, "device": CPU}
    mixed = TrainBatches(make_dataset(30, 10), micro_batch_size=4, mixing=mixing, **options)
    plain = TrainBatches(make_dataset(30, 10), micro_batch_size=4, **options)
    for place, (found, expected) in enumerate(zip(mixed(1), plain(1), strict=True)):
        images, targets = mixing(*expected, epoch=1, step=place // 2, k=place % 2)
        assert found[0].equal(images)
        assert found[1].equal(targets)
    assert mixed.digests(1)[0] == plain.digests(1)[0]
    assert mixed.digests(1)[1] != plain.digests(1)[1]


@pytest.mark.parametrize("W", [1, 3, 30])
def test_processes_share_the_test_images_among_them(make_dataset, W):
    dataset = make_dataset(10, 25)
    for r in range(W):
        batches = TestBatches(dataset, batch_size=4, device=CPU, world=World(rank=r, size=W))
        assert batches.images == 25
        assert batches.positions.tolist() == list(range(r, 25, W))
        found = [int(label) for _, labels in batches for label in labels]
        assert found == dataset.test.labels[r::W].tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_test_batches_keep_order_and_every_image(make_dataset, dtype):
    dataset = make_dataset(10, 25)
    batches = TestBatches(dataset, batch_size=10, device=CPU, dtype=dtype)
    for _ in range(2):
        images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        assert images.shape == (25, 3, 32, 32)
        assert images.dtype == dtype
        assert labels.tolist() == dataset.test.labels.tolist()
    assert [len(labels) for _, labels in batches] == [10, 10, 5]
    expected = F.batch_norm(
        dataset.test.pixels.float() / 255, torch.tensor(dataset.mean), torch.tensor(dataset.std) ** 2, eps=0
    )
    assert torch.allclose(images.float(), expected, atol=1e-5 if dtype == torch.float32 else 0.02)


def test_batches_come_far_faster_than_a_small_model_can_use_them(make_dataset):
    # Some 1,000 batches of 64 a second on one core; a step of a small model takes 70 ms.
    batches = TrainBatches(make_dataset(640, 1), augmentation=PLAIN, batch_size=64, seed=0, device=CPU)
    started_s = time.perf_counter()
    for epoch in range(3):
        for _ in batches(epoch):
            pass
    assert (time.perf_counter() - started_s) / 30 < 0.02


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_the_same_on_cuda(make_dataset):
    cpu, cuda = (
        torch.cat(
            [
                images.cpu()
                for images, _ in TrainBatches(
                    make_dataset(30, 10), augmentation=PLAIN, batch_size=8, seed=5, device=torch.device(name)
                )(0)
            ]
        )
        for name in ("cpu", "cuda")
    )
    assert torch.allclose(cpu, cuda, atol=1e-6)
