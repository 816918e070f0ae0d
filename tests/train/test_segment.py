"""Segmenters on images of any size: windows, scales and mirrors, each pixel, image and process once."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from swatbench.errors import DataError, ModelError, TrainingError
from swatbench.spec.segmentation import Inference, Segmentation
from swatbench.train import segment
from swatbench.train.segment import evaluate_masks
from swatbench.train.windows import window_starts
from swatbench.world import ALONE
from tests.worlds import in_world

CPU = torch.device("cpu")
SMALL = Segmentation(crop_size=16, short_side=16, long_side=64)
WHOLE = Inference(mode="whole")
SLIDING = Inference(name="slides", mode="sliding", stride=10)


class Pixels(nn.Module):
    """Logits of each pixel from its three values alone; it knows every image that it has seen."""

    def __init__(self, K=5):
        super().__init__()
        self.conv = nn.Conv2d(3, K, 1)
        generator = torch.Generator().manual_seed(0)
        self.conv.weight.data = 2 * torch.randn(self.conv.weight.shape, generator=generator)
        self.conv.bias.data = torch.randn(K, generator=generator)
        self.seen = []

    def forward(self, images):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.seen.append(images)
        return self.conv(images)


class Given(nn.Module):
    """Returns what it is given as logits."""

    def forward(self, images):
        return images


class Share:
    """Every size-th test image from the rank's own on, one by one."""

    def __init__(self, images, masks, *, rank=0, size=1):
        self.images = len(images)
        self.positions = np.arange(len(images))[rank::size]
        self.batches = [(images[i][None], masks[i][None]) for i in self.positions]

    def __iter__(self):
        return iter(self.batches)


def scenes(n=4, K=5, *, sizes=((16, 24), (20, 16), (9, 13), (31, 18))):
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(3, *sizes[i % len(sizes)], generator=generator) for i in range(n)]
    masks = [torch.randint(K, image.shape[1:], generator=generator) for image in images]
    for mask in masks:
        mask[torch.rand(mask.shape, generator=generator) < 0.2] = 255
    return images, masks


def judge(model, images, masks, *, world=ALONE, **options):
    tests = Share(images, masks, rank=world.rank, size=world.size)
    values = {"segmentation": SMALL, "inference": WHOLE, "num_classes": 5} | options
    return evaluate_masks(model, tests, device=CPU, precision="fp32", world=world, **values)


def at(maps, size, *, smoothed=False):
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=smoothed)


def test_a_mask_of_the_model_s_own_size_by_hand():
    # Logits of two classes, and a pixel without a label whose prediction counts nowhere.
    logits = torch.tensor([[[2.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [3.0, 5.0]]])
    mask = torch.tensor([[0, 0], [1, 255]])
    segmentation = Segmentation(crop_size=8, short_side=8, long_side=8)
    # Eight times as large, so that the image keeps its size.
    logits, mask = logits.repeat_interleave(4, 1).repeat_interleave(4, 2), np.kron(mask, np.ones((4, 4)))
    options = {"segmentation": segmentation, "num_classes": 2, "shown": [0]}
    result = judge(Given(), [logits], [torch.from_numpy(mask).long()], **options)
    assert result.counts["intersection"].tolist() == [[16, 16]]
    assert result.counts["predicted"].tolist() == [[16, 32]]
    assert result.counts["labelled"].tolist() == [[32, 16]]
    assert result.per_class_percent == (50.0, 50.0)
    losses = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(1)), math.log(1 + math.exp(-3))]
    assert result.loss == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert result.counts["loss"] == pytest.approx([sum(losses) / 3], rel=1e-6)
    assert result.masks[0].tolist() == np.kron([[0, 1], [1, 1]], np.ones((4, 4))).tolist()
    types = {name: str(values.dtype) for name, values in result.counts.items()}
    assert types == dict.fromkeys(("intersection", "predicted", "labelled"), "int32") | {"loss": "float32"}
    assert result.masks[0].dtype == np.uint8


def test_an_image_is_resized_and_its_probabilities_are_resized_to_the_mask():
    model = Pixels()
    images, masks = scenes()
    result = judge(model, images, masks, shown=range(4))
    # Short sides become 16, unless the long one reaches 64 first.
    assert [tuple(image.shape[2:]) for image in model.seen] == [(16, 24), (20, 16), (16, 23), (28, 16)]
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        seen = at(image[None], tuple(model.seen[i].shape[2:]), smoothed=True)
        assert torch.equal(model.seen[i], seen)
        probabilities = at(model.conv(seen).detach().softmax(1), tuple(mask.shape))[0]
        assert result.masks[i].tolist() == probabilities.argmax(0).tolist()
        there = mask != 255
        expected = F.nll_loss(probabilities.log()[:, there].T, mask[there])
        assert result.counts["loss"][i] == pytest.approx(float(expected), rel=1e-5)
        assert result.counts["labelled"][i].tolist() == mask[there].bincount(minlength=5).tolist()


def test_an_image_that_shrinks_is_resized_as_pillow_does_it_in_training():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    model = Pixels()
    image = torch.from_numpy(pixels).permute(2, 0, 1).float()
    judge(model, [image], [torch.zeros(50, 80, dtype=torch.long)])
    height, width = model.seen[0].shape[2:]
    assert (height, width) == (16, 26)
    by_pillow = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
    assert np.abs(model.seen[0][0].permute(1, 2, 0).numpy() - by_pillow).max() <= 1


@pytest.mark.parametrize(
    ("height", "width", "scale", "size"),
    [(100, 200, 1.0, (16, 32)), (10, 200, 1.0, (3, 64)), (200, 100, 1.5, (48, 24)), (1, 500, 0.5, (1, 32))],
)
def test_sides_follow_the_scale_and_the_longest_side(height, width, scale, size):
    model = Pixels()
    options = {"inference": WHOLE.model_copy(update={"scales": (scale,)})}
    judge(model, [torch.zeros(3, height, width)], [torch.zeros(height, width, dtype=torch.long)], **options)
    assert tuple(model.seen[0].shape[2:]) == size


def test_scales_and_mirror_are_averaged_as_probabilities():
    class LeftIsBright(Pixels):
        """Sees which side is left, so that the mirror changes what it says."""

        def forward(self, images):
            return super().forward(images) * torch.linspace(0.2, 3, images.shape[3])

    images, masks = scenes(1)
    model = LeftIsBright()
    inference = Inference(name="all", mode="whole", scales=(0.5, 1.0, 1.75), flip=True)
    result = judge(model, images, masks, inference=inference, shown=[0])
    assert [tuple(image.shape[2:]) for image in model.seen[::2]] == [(8, 12), (16, 24), (28, 42)]
    total = torch.zeros(1, 5, 16, 24)
    with torch.no_grad():
        model.eval()
        for size in ((8, 12), (16, 24), (28, 42)):
            image = at(images[0][None], size, smoothed=True)
            both = model(image).softmax(1) + model(image.flip(3)).softmax(1).flip(3)
            total += at(both / 2, (16, 24)) / 3
    assert result.masks[0].tolist() == total[0].argmax(0).tolist()
    there = masks[0] != 255
    assert result.loss == pytest.approx(
        float(F.nll_loss(total[0].log()[:, there].T, masks[0][there])), rel=1e-5
    )
    assert result.inference == "all"


@pytest.mark.parametrize("size", [(16, 24), (30, 41), (16, 16)])
def test_a_model_of_single_pixels_finds_by_windows_what_it_finds_of_the_whole(size):
    images, masks = scenes(1, sizes=(size,))
    options = {"segmentation": SMALL.model_copy(update={"short_side": min(size)}), "shown": [0]}
    whole, slides = (
        judge(Pixels(), images, masks, inference=inference, **options) for inference in (WHOLE, SLIDING)
    )
    assert slides.masks[0].tolist() == whole.masks[0].tolist()
    assert slides.loss == pytest.approx(whole.loss, rel=1e-5)


def test_windows_cover_every_pixel_and_end_at_the_border():
    assert window_starts(41, 16, 10) == [0, 10, 20, 25]
    assert window_starts(36, 16, 10) == [0, 10, 20]
    assert window_starts(16, 16, 10) == window_starts(9, 16, 10) == [0]
    for length in range(1, 60):
        starts = window_starts(length, 16, 10)
        assert set().union(*(range(start, start + 16) for start in starts)) >= set(range(length))
        assert starts[-1] + 16 == max(length, 16)
        assert all(0 < after - before <= 10 for before, after in pairwise(starts))


def test_overlapping_windows_are_averaged_as_probabilities():
    class Counts(nn.Module):
        """Gives the first class more with every window."""

        calls = 0

        def forward(self, images):
            self.calls += 1
            return torch.tensor([float(self.calls), 0.0]).reshape(1, 2, 1, 1).expand(1, 2, *images.shape[2:])

    mask = torch.zeros(16, 26, dtype=torch.long)
    result = judge(Counts(), [torch.zeros(3, 16, 26)], [mask], inference=SLIDING, num_classes=2)
    one, two = (1 / (1 + math.exp(-calls)) for calls in (1, 2))
    # Windows at 0 and 10: ten columns of the first alone, six of both, ten of the second alone.
    expected = (10 * math.log(one) + 6 * math.log((one + two) / 2) + 10 * math.log(two)) / -26
    assert result.loss == pytest.approx(expected, rel=1e-6)


def test_an_image_smaller_than_a_window_gets_zeros_at_the_right_and_the_bottom():
    model = Pixels()
    segmentation = SMALL.model_copy(update={"short_side": 9, "long_side": 13})
    images, masks = scenes(1, sizes=((9, 13),))
    result = judge(model, images, masks, segmentation=segmentation, inference=SLIDING)
    (seen,) = model.seen
    assert seen.shape == (1, 3, 16, 16)
    assert torch.equal(seen[0, :, :9, :13], images[0])
    assert seen[0, :, 9:].abs().sum() == seen[0, :, :, 13:].abs().sum() == 0
    plain = judge(model, images, masks, segmentation=segmentation)
    assert result.counts["predicted"].tolist() == plain.counts["predicted"].tolist()


def test_classes_at_once_change_nothing(monkeypatch):
    images, masks = scenes()
    inference = Inference(mode="whole", scales=(1.0, 1.5), flip=True)
    results = []
    for at_once in (1, 2, 3, 16):
        monkeypatch.setattr(segment, "CLASSES_AT_ONCE", at_once)
        results.append(everything(judge(Pixels(), images, masks, inference=inference, shown=[0, 1])))
    assert all(result == results[0] for result in results)


def test_of_equal_probabilities_the_first_class_is_predicted(monkeypatch):
    monkeypatch.setattr(segment, "CLASSES_AT_ONCE", 2)
    logits = torch.zeros(5, 16, 16)
    result = judge(Given(), [logits], [torch.zeros(16, 16, dtype=torch.long)])
    assert result.counts["predicted"].tolist() == [[256, 0, 0, 0, 0]]
    assert result.loss == pytest.approx(math.log(5))


def test_an_image_without_labels_counts_nowhere():
    images, masks = scenes()
    masks[2][:] = 255
    result = judge(Pixels(), images, masks)
    assert (
        result.counts["loss"][2]
        == result.counts["labelled"][2].sum()
        == result.counts["predicted"][2].sum()
        == 0
    )
    fewer = judge(Pixels(), images[:2] + images[3:], masks[:2] + masks[3:])
    assert (result.miou_percent, result.loss) == (fewer.miou_percent, fewer.loss)
    assert (result.images, fewer.images) == (4, 3)


def test_a_probability_of_zero_is_a_large_loss_and_no_infinite_one():
    logits = torch.zeros(2, 16, 16)
    logits[1] = 1e4
    result = judge(Given(), [logits], [torch.zeros(16, 16, dtype=torch.long)], num_classes=2)
    assert result.loss == pytest.approx(87.3, abs=0.1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("inference", [WHOLE, SLIDING], ids=["whole", "sliding"])
def test_logits_that_are_not_finite_are_an_error(value, inference):
    images = [torch.zeros(5, 16, 40) for _ in range(3)]
    images[1][2, 3, 39] = value
    masks = [torch.zeros(16, 40, dtype=torch.long)] * 3
    with pytest.raises(TrainingError, match="not finite for 1 of 3 test images"):
        judge(Given(), images, masks, inference=inference)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_its_mode(training):
    model = Pixels().train(training)
    judge(model, *scenes())
    assert model.training is training
    with pytest.raises(ModelError, match="chooses among 5 classes, and the data have 6"):
        judge(model, *scenes(), num_classes=6)
    assert model.training is training


def test_what_cannot_be_tested_is_refused():
    images, masks = scenes()
    for inference in (Inference(), Inference(mode="sliding"), WHOLE.model_copy(update={"stride": 8})):
        with pytest.raises(ValueError, match="leave it open"):
            judge(Pixels(), images, masks, inference=inference)
    with pytest.raises(ValueError, match="at least one test image"):
        judge(Pixels(), [], [])
    with pytest.raises(ValueError, match="holds 1 to 255 classes, not 256"):
        judge(Pixels(256), images, masks, num_classes=256)
    with pytest.raises(DataError, match="No pixel of the test images has a label"):
        judge(Pixels(), images, [torch.full_like(mask, 255) for mask in masks])


def test_images_that_are_missing_or_too_many_are_an_error():
    tests = Share(*scenes())
    tests.batches = tests.batches[:-1]
    options = {
        "segmentation": SMALL,
        "inference": WHOLE,
        "device": CPU,
        "precision": "fp32",
        "num_classes": 5,
    }
    with pytest.raises(DataError, match="Of 4 test images 1 were missed, and 0 came more than once"):
        evaluate_masks(Pixels(), tests, **options)
    tests.batches *= 2
    with pytest.raises(DataError, match="More than the 4 test images came"):
        evaluate_masks(Pixels(), tests, **options)


def everything(result):
    arrays = {name: (str(values.dtype), values.tolist()) for name, values in result.counts.items()}
    masks = {place: mask.tolist() for place, mask in result.masks.items()}
    return result.record("raw", "predictions.npz"), arrays, masks


def evaluate_together(world, *, n):
    return everything(judge(Pixels(), *scenes(n), world=world, shown=[0, 1, n - 1]))


@pytest.mark.parametrize(("size", "n"), [(2, 5), (3, 2)])
def test_processes_together_find_exactly_what_one_finds(size, n):
    alone = evaluate_together(ALONE, n=n)
    assert sorted(alone[2]) == sorted({0, 1, n - 1})
    assert in_world(partial(evaluate_together, n=n), size) == [alone] * size


def test_precision_is_that_of_the_model_alone():
    images, masks = scenes()
    tests = Share(images, masks)
    options = {"segmentation": SMALL, "inference": WHOLE, "device": CPU, "num_classes": 5}
    coarse = evaluate_masks(Pixels(), tests, precision="bf16", **options)
    fine = evaluate_masks(Pixels(), tests, precision="fp32", **options)
    assert coarse.loss == pytest.approx(fine.loss, rel=2e-2)
    assert coarse.loss != fine.loss
