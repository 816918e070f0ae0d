"""What is learnt, classes or masks: losses by hand, and a segmenter through the one loop."""

import copy
import hashlib
import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from swatbench.errors import MachineError
from swatbench.spec.cells import Speed
from swatbench.spec.recipe import Ema, Recipe
from swatbench.spec.segmentation import Inference, Segmentation
from swatbench.train.checkpoint import read_checkpoint
from swatbench.train.epoch import TrainingStopped
from swatbench.train.loop import fit
from swatbench.train.objective import Classes, Masks
from swatbench.train.retention import Retention
from swatbench.train.segment import evaluate_masks
from swatbench.train.state import Listener
from swatbench.world import ALONE
from tests.worlds import in_world

K = 4
SMALL = Segmentation(
    crop_size=8,
    short_side=8,
    long_side=16,
    tests=(Inference(mode="whole"), Inference(name="flipped", mode="whole", flip=True)),
)
MASKS = Masks(num_classes=K, segmentation=SMALL)
TIMES = {"compute_s", "data_s"}
SPEED = Speed(
    tf32=False, channels_last=False, compile="none", fused_optimizer=True, gradient_checkpointing=False
)


def untold(_):
    """Nobody listens."""


class TwoHeads(nn.Module):
    """Classifies pixels, in training also at half the size by a second head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head, self.auxiliary, self.drop = nn.Conv2d(3, K, 1), nn.Conv2d(3, K, 1), nn.Dropout2d(0.2)

    def forward(self, images):
        logits = self.head(self.drop(images))
        return (logits, self.auxiliary(F.avg_pool2d(images, 2))) if self.training else logits


class Squares:
    """Images whose pixels' largest value is their class; stands where the data room's batches go."""

    def __init__(self, n=12, batch_size=4, *, micro_batch_size=None, world=ALONE):
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(n, 3, 8, 8, generator=generator)
        self.masks = self.images.argmax(1)
        self.masks[torch.rand(self.masks.shape, generator=generator) < 0.2] = 255
        self.batch_size, self.steps_per_epoch = batch_size, n // batch_size
        self._micro, self._world = micro_batch_size or batch_size, world
        self.micro_batches = batch_size // self._micro // world.size

    def __call__(self, epoch, *, start=0):
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(self.images)))
        for step in order.split(self.batch_size)[start:]:
            for i in step.split(self._micro)[self._world.rank :: self._world.size]:
                yield self.images[i], self.masks[i]

    def digests(self, epochs):
        return tuple(hashlib.sha256(f"{name}{epochs}".encode()).hexdigest() for name in ("order", "changes"))


class OneByOne:
    """This process's test images."""

    def __init__(self, squares, world=ALONE):
        self.images = len(squares.images)
        self.positions = np.arange(self.images)[world.rank :: world.size]
        self._squares = squares

    def __iter__(self):
        for i in self.positions:
            yield self._squares.images[i : i + 1], self._squares.masks[i : i + 1]


def train_at(
    folder, model, *, batches=None, world=ALONE, should_stop=lambda: False, keep_best=False, **options
):
    batches = batches or Squares(world=world)
    listener = Listener(
        progress=untold, epoch=untold, begin=untold, note=pytest.fail, should_stop=should_stop
    )
    values = {
        "objective": MASKS,
        "test": OneByOne(batches, world),
        "recipe": Recipe(epochs=3, batch_size=4, learning_rate=0.05, label_smoothing=0.0),
        "speed": SPEED,
        "seed": 0,
        "device": torch.device("cpu"),
        "precision": "fp32",
        "retention": Retention(folder, keep_every_epochs=None, keep_best=keep_best),
        "every_s": 1e9,
        "digest": "d" * 64,
        "listener": listener,
        "world": world,
    }
    return fit(model, batches, **(values | options))


@pytest.fixture
def train(tmp_path):
    return lambda model, *, folder="run", **options: train_at(tmp_path / folder, model, **options)


def same_weights(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def logits_and_masks(b=3, size=8):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(b, K, size, size, generator=generator)
    masks = torch.randint(K, (b, size, size), generator=generator)
    masks[0, :3] = 255
    return logits, masks


def test_guessing_has_its_loss():
    assert Classes(num_classes=10).guessing == pytest.approx(math.log(10))
    assert Classes(num_classes=10).loss(torch.zeros(5, 10), torch.arange(5)) == pytest.approx(math.log(10))
    assert MASKS.guessing == pytest.approx(1.4 * math.log(K))
    guessed = torch.zeros(2, K, 8, 8), torch.zeros(2, K, 4, 4)
    masks = torch.zeros(2, 8, 8, dtype=torch.long)
    assert MASKS.loss(guessed, masks).item() == pytest.approx(MASKS.guessing)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_of_classes_is_torch_s(smoothing):
    logits, labels = torch.randn(6, 10, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    objective = Classes(num_classes=10, label_smoothing=smoothing)
    assert objective.loss(logits, labels).equal(F.cross_entropy(logits, labels, label_smoothing=smoothing))
    # Probabilities of mixed images have the smoothing in them already.
    mixed = logits.flip(0).softmax(1)
    assert objective.loss(logits, mixed).equal(F.cross_entropy(logits, mixed))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_pixel_without_a_label_counts_as_a_loss_of_zero(smoothing):
    logits, masks = logits_and_masks()
    objective = Masks(num_classes=K, segmentation=SMALL, label_smoothing=smoothing)
    there = masks != 255
    of_labelled = F.cross_entropy(logits.movedim(1, 3)[there], masks[there], label_smoothing=smoothing)
    expected = of_labelled * there.sum() / there.numel()
    assert objective.loss(logits, masks).item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_auxiliary_head_is_resized_and_weighted():
    logits, masks = logits_and_masks()
    small = torch.randn(3, K, 4, 4, generator=torch.Generator().manual_seed(2))
    large = F.interpolate(small, size=(8, 8), mode="bilinear", align_corners=False)
    expected = MASKS.loss(logits, masks) + 0.4 * MASKS.loss(large, masks)
    assert MASKS.loss((logits, small), masks).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_micro_batch_without_labels_has_no_loss_and_no_gradient():
    logits = torch.randn(2, K, 8, 8, requires_grad=True)
    loss = MASKS.loss((logits, logits), torch.full((2, 8, 8), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0


def test_the_loss_is_in_float32_whatever_the_logits_are():
    logits, masks = logits_and_masks()
    coarse = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = MASKS.loss(coarse, masks)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(MASKS.loss(coarse.float(), masks).item(), rel=1e-6)


def test_a_segmenter_learns_and_its_curve_has_mean_iou(train):
    model, squares = TwoHeads(), Squares()
    place = {"device": torch.device("cpu"), "precision": "fp32", "world": ALONE}
    before = MASKS.test(model, OneByOne(squares), **place)
    result = train(model)
    assert [point.epoch for point in result.curve] == [1, 2, 3]
    assert result.images_seen == 36
    assert {point.top1_percent for point in result.curve} == {None}
    assert all(point.ema_miou_percent is None for point in result.curve)
    assert result.curve[-1].miou_percent > before["miou_percent"] + 20
    assert result.curve[-1].loss < result.curve[0].loss
    score = evaluate_masks(
        model, OneByOne(squares), segmentation=SMALL, inference=SMALL.tests[0], num_classes=K, **place
    )
    assert result.curve[-1].miou_percent == score.miou_percent


def test_a_segmenter_goes_on_with_the_same_bits(train):
    recipe = Recipe(epochs=3, batch_size=4, learning_rate=0.05, ema=Ema(decay=0.8))
    whole, stopped = TwoHeads(), TwoHeads()
    start = copy.deepcopy(stopped)
    expected = train(whole, folder="whole", recipe=recipe)
    taken = iter([False] * 4 + [True] * 100)
    with pytest.raises(TrainingStopped):
        train(stopped, should_stop=lambda: next(taken), recipe=recipe)
    found = train(start, recipe=recipe)
    assert found.resumed == 1
    assert same_weights(start, whole)
    assert same_weights(found.average, expected.average)
    for ours, theirs in zip(found.curve, expected.curve, strict=True):
        assert ours.model_dump(exclude=TIMES) == theirs.model_dump(exclude=TIMES)
    assert {type(point.ema_miou_percent) for point in found.curve} == {float}


def test_micro_batches_of_masks_add_up_to_the_batch_whatever_is_labelled(train):
    plain, added = TwoHeads(), TwoHeads()
    for model in (plain, added):
        model.drop = nn.Identity()
    batches, parts = Squares(), Squares(micro_batch_size=2)
    for squares in (batches, parts):
        squares.masks[:5] = 255
    train(plain, batches=batches)
    train(added, batches=parts, folder="added")
    for ours, theirs in zip(plain.parameters(), added.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not same_weights(plain, TwoHeads())


def train_together(world, *, folder):
    model = TwoHeads()
    batches = Squares(micro_batch_size=2, world=world)
    result = train_at(folder / f"of-{world.size}", model, batches=batches, world=world)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    return [point.model_dump(exclude=TIMES) for point in result.curve], weights


def test_processes_together_train_the_segmenter_that_one_trains(tmp_path):
    curve, weights = train_together(ALONE, folder=tmp_path)
    first, second = in_world(partial(train_together, folder=tmp_path), 2)
    for other, theirs in (first, second):
        assert [point["loss"] for point in other] == pytest.approx(
            [point["loss"] for point in curve], rel=1e-4
        )
        assert [point["miou_percent"] for point in other] == [point["miou_percent"] for point in first[0]]
        for name, value in weights.items():
            np.testing.assert_allclose(theirs[name], value, rtol=1e-3, atol=1e-5)


def test_the_best_state_is_that_of_the_best_mean_iou(train, tmp_path):
    result = train(TwoHeads(), keep_best=True)
    scores = [point.miou_percent for point in result.curve]
    best = scores.index(max(scores))
    assert read_checkpoint(tmp_path / "run" / "best.ckpt").curve == result.curve[: best + 1]


@pytest.mark.parametrize(("norm", "fits"), [(nn.Identity(), 1), (nn.BatchNorm2d(K), 2)])
def test_memory_that_ran_out_names_a_micro_batch_that_can_be_trained(train, norm, fits):
    class Pooled(TwoHeads):
        """Has a map of one pixel, as a head's pyramid does."""

        def __init__(self):
            super().__init__()
            self.norm = norm

        def forward(self, images):
            if len(images) > fits:
                raise torch.OutOfMemoryError("Tried to allocate 9 GiB")
            return self.head(images) + self.norm(self.head(images).mean((2, 3), keepdim=True))

    with pytest.raises(MachineError, match=f"a micro-batch of 4; one of {fits} fits"):
        train(Pooled())
