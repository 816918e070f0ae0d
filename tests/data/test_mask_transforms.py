import colorsys

import numpy as np
import pytest
from PIL import Image

from swatbench.data.mask_draws import CROPS, MaskDraws, Visits, draw_mask_changes
from swatbench.data.mask_transforms import Changed, change_masked, distort
from swatbench.spec.segmentation import MaskAugmentation, Segmentation


def spec(*, S=16, short=16, long=64, **augmentation):
    plain = {"scale": (1.0, 1.0), "largest_class_share": 1.0, "flip_probability": 0.0}
    changes = MaskAugmentation(**(plain | {"photometric_distortion": False} | augmentation))
    return Segmentation(crop_size=S, short_side=short, long_side=long, augmentation=changes)


def draws(*, scale=0.0, flip=0.99, places=((0.0, 0.0),), colours=(0.9,) * 9):
    filled = [*places, *[places[-1]] * (CROPS - len(places))]
    return MaskDraws(scale=scale, flip=flip, places=np.array(filled), colours=np.array(colours))


def scene(h, w, *, seed=0):
    """An image whose first channel is ten times its mask."""
    labels = np.random.default_rng(seed).integers(0, 5, (h, w)).astype(np.uint8)
    pixels = np.stack([10 * labels, labels, 255 - labels], 2)
    return Image.fromarray(pixels), labels


def changed(image, labels, how, drawn) -> Changed:
    return change_masked(image, labels, segmentation=how, draws=drawn)


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((512, 683), 1.0, (512, 683)),
        ((256, 300), 2.0, (1024, 1200)),
        ((300, 256), 0.5, (300, 256)),
        # The longer side would be 512 · 3000 / 600 = 2560, and so is 2048.
        ((600, 3000), 1.0, (410, 2048)),
        ((600, 3000), 0.5, (205, 1024)),
        ((1, 10_000), 0.5, (1, 1024)),
    ],
)
def test_the_shorter_side_rules_unless_the_longer_would_be_too_long(size, scale, expected):
    assert Segmentation().resized(*size, scale=scale) == expected


def test_scales_are_drawn_between_both_ends():
    image, labels = scene(16, 16)
    how = spec(S=64, scale=(0.5, 2.0))
    for scale, side in ((0.0, 8), (1 / 3, 16), (0.9999999, 32)):
        found = changed(image, labels, how, draws(scale=scale))
        assert (found.height, found.width) == (side, side)


def test_image_and_mask_are_cropped_and_mirrored_alike():
    image, labels = scene(16, 40)
    how = spec(S=16, flip_probability=0.5)
    found = changed(image, labels, how, draws(places=((0.5, 0.999),)))
    assert np.array_equal(found.labels, labels[:, 24:40])
    assert np.array_equal(found.pixels[0], 10 * labels[:, 24:40])
    flipped = changed(image, labels, how, draws(places=((0.5, 0.999),), flip=0.49))
    assert flipped.labels.equal(found.labels.flip(1))
    assert flipped.pixels.equal(found.pixels.flip(2))
    assert not flipped.pixels.equal(found.pixels)


def test_what_is_smaller_than_the_crop_is_filled_up_at_the_right_and_at_the_bottom():
    image, labels = scene(10, 12)
    found = changed(image, labels, spec(S=16, short=10), draws(flip=0.0))
    assert (found.height, found.width) == (10, 12)
    assert np.array_equal(found.labels[:10, :12], labels)
    assert (found.labels[10:] == 255).all()
    assert (found.labels[:, 12:] == 255).all()
    assert (found.pixels[:, 10:] == 0).all()


def test_masks_are_resized_without_making_new_classes():
    labels = np.zeros((8, 8), np.uint8)
    labels[:, 4:] = 200
    labels[0] = 255
    found = changed(Image.new("RGB", (8, 8)), labels, spec(S=20, short=20), draws())
    assert set(np.unique(found.labels)) == {0, 200, 255}


def test_crops_with_too_much_of_one_class_are_drawn_again():
    labels = np.zeros((16, 64), np.uint8)
    labels[:, 32:] = np.arange(32) % 2 + 1
    image = Image.fromarray(np.stack([labels * 10] * 3, 2))
    at = {"one": (0.0, 0.0), "two": (0.0, 0.9)}
    how = spec(largest_class_share=0.75)
    for places, first in (([at["one"], at["two"]], 44), ([at["two"], at["one"]], 44), ([at["one"]], 0)):
        found = changed(image, labels, how, draws(places=places))
        assert np.array_equal(found.labels, labels[:, first : first + 16])
    # Ten times at most: the eleventh place is the last.
    places = [at["one"]] * (CROPS - 1) + [at["two"]]
    assert np.array_equal(changed(image, labels, how, draws(places=places)).labels, labels[:, 44:60])
    # Where everything is allowed, the first crop stays.
    assert (changed(image, labels, spec(), draws(places=places)).labels == 0).all()


def test_shares_are_of_labelled_pixels_alone():
    labels = np.full((16, 64), 255, np.uint8)
    labels[:, 0] = 3
    labels[:8, 40] = 1
    labels[8:, 40] = 2
    image = Image.new("RGB", (64, 16))
    how = spec(largest_class_share=0.5)
    # Only class 3; then nothing labelled at all; then classes 1 and 2 in equal parts.
    found = changed(image, labels, how, draws(places=((0, 0.0), (0, 0.1), (0, 0.7))))
    assert np.array_equal(found.labels, labels[:, 34:50])


def noise(size=24):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8))


NOT = (0.9, 0.5)


def test_nothing_is_distorted_where_all_four_are_left_out():
    image = noise()
    assert np.array_equal(distort(image, np.array([*NOT * 4, 0.0])), image)


@pytest.mark.parametrize(("amount", "by"), [(0.0, -32), (0.5, 0), (0.75, 16), (1 - 1e-9, 32)])
def test_brightness_is_added(amount, by):
    found = distort(noise(), np.array([0.4, amount, *NOT * 3, 0.0]))
    expected = (np.asarray(noise()).astype(int) + by).clip(0, 255)
    assert np.abs(np.asarray(found).astype(int) - expected).max() <= 1


def test_contrast_is_multiplied_before_or_after():
    image = np.asarray(noise()).astype(float)
    for place in (0.4, 0.6):
        found = distort(noise(), np.array([*NOT, 0.4, 0.75, *NOT * 2, place]))
        assert np.array_equal(found, (image * 1.25).clip(0, 255).astype(int))
    # With the hue in between, first and last differ where a channel is cut off at 255.
    either = [distort(noise(), np.array([*NOT, 0.4, 1.0, *NOT, 0.4, 1.0, place])) for place in (0.4, 0.6)]
    assert not np.array_equal(*either)


def hsv(image):
    pixels = np.asarray(image).reshape(-1, 3) / 255
    return np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels])


def test_saturation_is_multiplied():
    image = Image.new("RGB", (2, 2), (200, 120, 160))
    for amount, factor in ((0.0, 0.5), (1.0, 1.5)):
        found = hsv(distort(image, np.array([*NOT * 2, 0.4, amount, *NOT, 0.0])))
        before = hsv(image)
        assert found[:, 1] == pytest.approx(before[:, 1] * factor, abs=0.02)
        assert found[:, 0] == pytest.approx(before[:, 0], abs=0.02)
        assert found[:, 2] == pytest.approx(before[:, 2], abs=0.01)


def test_hues_turn_by_a_tenth_of_the_circle_at_most_and_around_its_end():
    for colour in ((200, 40, 60), (40, 200, 60), (210, 30, 30)):
        image = Image.new("RGB", (1, 1), colour)
        for amount, turn in ((0.0, -0.1), (0.5, 0.0), (1.0, 0.1)):
            found = hsv(distort(image, np.array([*NOT * 3, 0.4, amount, 0.0])))
            difference = (found[0, 0] - hsv(image)[0, 0] - turn + 0.5) % 1 - 0.5
            assert abs(difference) < 0.02


def test_distortion_leaves_the_mask_alone_and_is_left_out_where_the_suite_says_so():
    image, labels = scene(16, 16)
    drawn = draws(colours=(0.1, 0.9, *(0.1, 0.2) * 3, 0.0))
    with_it = changed(image, labels, spec(photometric_distortion=True), drawn)
    without = changed(image, labels, spec(), drawn)
    assert with_it.labels.equal(without.labels)
    assert not with_it.pixels.equal(without.pixels)
    assert np.array_equal(without.pixels, np.asarray(image).transpose(2, 0, 1))


def test_draws_follow_from_seed_pass_and_index_alone_and_are_spread_evenly():
    def numbers(**key):
        found = draw_mask_changes(**({"seed": 0, "visited_in": 0, "index": 0} | key))
        return np.concatenate([[found.scale, found.flip], found.places.ravel(), found.colours])

    first = numbers()
    assert np.array_equal(first, numbers())
    for key in ({"seed": 1}, {"visited_in": 1}, {"index": 1}):
        assert not np.isin(numbers(**key), first).any()
    many = np.stack([numbers(index=i) for i in range(500)])
    assert many.min() >= 0
    assert many.max() < 1
    assert np.abs(many.mean(0) - 0.5).max() < 0.06
    # Written down once: another numpy must draw the same.
    assert first[:2].tolist() == pytest.approx([FIRST_SCALE, FIRST_FLIP], abs=1e-12)


FIRST_SCALE, FIRST_FLIP = 0.6087905779916717, 0.5550790528730519


@pytest.mark.parametrize("per_epoch", [3, 10, 24])
def test_epochs_that_run_on_visit_every_image_once_a_pass(per_epoch):
    visits = Visits(images=10, seed=5, per_epoch=per_epoch, run_on=True)
    parts = [visits.of_epoch(epoch) for epoch in range(60 // per_epoch + 1)]
    passes, index = (np.concatenate(both)[:60] for both in zip(*parts, strict=True))
    assert passes.tolist() == [p // 10 for p in range(60)]
    for each in index.reshape(6, 10):
        assert sorted(each.tolist()) == list(range(10))
    other = Visits(images=10, seed=5, per_epoch=20, run_on=True)
    assert np.array_equal(np.concatenate([other.of_epoch(e)[1] for e in range(3)]), index)


def test_epochs_that_do_not_run_on_begin_a_pass_each():
    visits = Visits(images=10, seed=5, per_epoch=8, run_on=False)
    run_on = Visits(images=10, seed=5, per_epoch=10, run_on=True)
    for epoch in range(3):
        passes, index = visits.of_epoch(epoch)
        assert passes.tolist() == [epoch] * 8
        assert np.array_equal(index, run_on.of_epoch(epoch)[1][:8])
