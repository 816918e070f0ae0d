import hashlib

import numpy as np
import pytest

from swatbench.data.draws import (
    draw_augmentation,
    draw_order,
    draw_visits,
    image_seed,
    mixing_seed,
    sample_seed,
    shard_seed,
    stream_digests,
)
from swatbench.spec.recipe import Augmentation

PLAIN = Augmentation()
ORDER = [0, 3, 7, 5, 1, 2, 6, 4]
IMAGE_WORDS, MIXING_WORDS = [186450223, 3559181312], [798150869, 2532097060]
CHANGES = [[8, 8, 3, 8, 5, 1], [3, 0, 0, 4, 5, 0], [0, 0, 1, 0, 0, 1]]


def draws(n=1_000, augmentation=PLAIN, *, seed=3, epoch=0):
    return draw_augmentation(n, augmentation, seed=seed, epoch=epoch)


def test_the_order_visits_each_image_once():
    assert sorted(draw_order(500, seed=1, epoch=2)) == list(range(500))


def test_the_order_follows_from_seed_and_epoch_alone():
    orders = {
        tuple(draw_order(100, seed=seed, epoch=epoch))
        for seed in (0, 1)
        for epoch in (0, 1)
        for _ in range(2)
    }
    assert len(orders) == 4


def test_seed_and_epoch_are_not_added_up():
    assert draw_order(100, seed=1, epoch=2).tolist() != draw_order(100, seed=2, epoch=1).tolist()


def test_the_numbers_are_those_of_numpys_own_generator():
    # An independent way to the same draws, through the public Generator.
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([3, 7, 1])))
    uniform = rng.random((50, 3))
    found = draws(50, epoch=7)
    assert found.y.tolist() == np.floor(9 * uniform[:, 0]).tolist()
    assert found.x.tolist() == np.floor(9 * uniform[:, 1]).tolist()
    assert found.flip.tolist() == (uniform[:, 2] < 0.5).tolist()


def test_the_stream_is_the_same_for_ever():
    # Written down once: whoever changes these numbers changes every result and must raise PROTOCOL_VERSION.
    assert draw_order(8, seed=0, epoch=0).tolist() == ORDER
    found = draws(6, seed=0)
    assert [found.y.tolist(), found.x.tolist(), found.flip.astype(int).tolist()] == CHANGES


def test_the_draws_of_an_image_do_not_depend_on_how_many_there_are():
    few, many = draws(10), draws(1_000)
    for name in ("y", "x", "flip"):
        assert getattr(few, name).tolist() == getattr(many, name)[:10].tolist()


def test_order_and_augmentation_are_different_streams():
    uniform = draws(1_000)
    order = draw_order(1_000, seed=3, epoch=0)
    assert abs(np.corrcoef(order, uniform.y)[0, 1]) < 0.1


def test_offsets_are_uniform_and_independent():
    found = draws(90_000)
    counts = np.histogram2d(found.y, found.x, bins=np.arange(10) - 0.5)[0]
    assert counts.sum() == 90_000
    # 81 places of 1,111 each; five standard deviations are 167.
    assert abs(counts - 90_000 / 81).max() < 170
    for name in ("y", "x"):
        assert abs(np.corrcoef(getattr(found, name), found.flip)[0, 1]) < 0.02


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_flips_come_as_often_as_asked(probability):
    share = draws(40_000, Augmentation(flip_probability=probability)).flip.mean()
    assert share == pytest.approx(probability, abs=0.01 if 0 < probability < 1 else 0)


def test_without_padding_there_is_no_offset():
    found = draws(100, Augmentation(crop_padding=0))
    assert not found.y.any()
    assert not found.x.any()


def digests(n=20, augmentation=PLAIN, *, seed=0, epochs=2, images_per_epoch=16):
    return stream_digests(n, augmentation, seed=seed, epochs=epochs, images_per_epoch=images_per_epoch)


def test_the_digest_of_the_order_is_that_of_the_images_seen():
    seen = b"".join(
        int(i).to_bytes(8, "little") for epoch in (0, 1) for i in draw_order(20, seed=0, epoch=epoch)[:16]
    )
    assert digests()[0] == hashlib.sha256(seen).hexdigest()


def test_digests_move_with_what_they_digest_and_with_nothing_else():
    order, changes = digests()
    assert digests() == (order, changes)
    assert digests(seed=1)[0] != order
    assert digests(seed=1)[1] != changes
    assert digests(epochs=3)[0] != order
    assert digests(epochs=3)[1] != changes
    assert digests(augmentation=Augmentation(flip_probability=0.4))[0] == order
    assert digests(augmentation=Augmentation(flip_probability=0.4))[1] != changes
    assert digests(augmentation=Augmentation(crop_padding=3))[1] != changes
    assert digests(images_per_epoch=20)[0] != order
    assert digests(images_per_epoch=20)[1] == changes


def test_without_repeats_an_epoch_visits_the_images_in_their_order():
    index, copies = draw_visits(50, repeats=1, seed=1, epoch=2)
    assert index.tolist() == draw_order(50, seed=1, epoch=2).tolist()
    assert not copies.any()


def test_copies_follow_one_another_and_the_epoch_keeps_its_length():
    index, copies = draw_visits(50, repeats=3, seed=1, epoch=2)
    order = draw_order(50, seed=1, epoch=2).tolist()
    assert index.tolist() == [i for i in order for _ in range(3)][:50]
    assert copies.tolist() == [0, 1, 2] * 16 + [0, 1]


def test_copies_are_changed_in_their_own_way_and_the_first_as_without_repeats():
    first, second, third = (
        draw_augmentation(500, PLAIN, seed=3, epoch=0, copy=copy).y.tolist() for copy in range(3)
    )
    assert first == draws(500).y.tolist()
    assert first != second != third != first


def test_every_kind_of_seed_is_its_own():
    place = {"seed": 1, "epoch": 2}
    words = [
        image_seed(**place, index=3, copy=0),
        image_seed(**place, index=3, copy=1),
        image_seed(**place, index=4, copy=0),
        mixing_seed(**place, step=3, k=0),
        sample_seed(**place, worker=3, position=0, copy=0),
        sample_seed(**place, worker=0, position=3, copy=0),
    ]
    assert len({each.tobytes() for each in words}) == 6
    orders = [shard_seed(**place), shard_seed(**place, worker=0), shard_seed(seed=2, epoch=1)]
    assert len({*orders}) == 3


def test_the_seeds_are_the_same_for_ever():
    # As the stream above: whoever changes these numbers changes every result of images changed one by one.
    assert image_seed(seed=0, epoch=0, index=0, copy=0)[:2].tolist() == IMAGE_WORDS
    assert mixing_seed(seed=0, epoch=0, step=0, k=0)[:2].tolist() == MIXING_WORDS


def test_repeats_are_in_the_digests():
    order, changes = digests(augmentation=Augmentation(repeats=2))
    index = [draw_visits(20, repeats=2, seed=0, epoch=epoch)[0][:16] for epoch in (0, 1)]
    assert order == hashlib.sha256(np.concatenate(index).astype("<i8").tobytes()).hexdigest()
    assert changes != digests()[1]
