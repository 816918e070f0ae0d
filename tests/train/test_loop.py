import copy

import pytest
import torch

from swatbench.errors import CheckpointError
from swatbench.spec.suite import Recipe
from swatbench.train.checkpoint import read_checkpoint
from swatbench.train.evaluate import evaluate
from swatbench.train.loop import fit

CPU = torch.device("cpu")


class Stopped(Exception):  # noqa: N818
    """Stands for whatever ends a run in the middle."""


@pytest.fixture
def train(tmp_path, noise, recipe):
    def run(model, *, batches=noise, recipe=recipe, **options):
        values = {
            "test": [(noise.images[:20], noise.labels[:20])],
            "recipe": recipe,
            "seed": 0,
            "device": CPU,
            "precision": "fp32",
            "checkpoint_path": tmp_path / "last.ckpt",
            "digest": "d" * 64,
            "on_progress": lambda _: None,
            "on_note": pytest.fail,
        }
        return fit(model, batches, **(values | options))

    return run


def without_times(curve):
    return [point.model_dump(exclude={"compute_s", "data_s"}) for point in curve]


def same_weights(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().values(), strict=True)
    return all(ours.equal(theirs) for (_, ours), theirs in pairs)


def stop_at(step):
    def on_progress(progress):
        if progress.step >= step:
            raise Stopped

    return on_progress


def test_a_result_states_what_was_done(train, make_model, noise):
    model = make_model()
    result = train(model)
    assert [point.epoch for point in result.curve] == [1, 2, 3]
    assert [point.step for point in result.curve] == [6, 12, 18]
    assert result.images_seen == 3 * 48
    assert result.resumed == 0
    assert result.train_s == pytest.approx(sum(point.compute_s + point.data_s for point in result.curve))
    assert (result.order_sha256, result.augmentation_sha256) == noise.digests(3)
    final = evaluate(model, [(noise.images[:20], noise.labels[:20])], device=CPU, precision="fp32")
    assert result.curve[-1].top1_percent == final.top1_percent


def test_without_test_batches_there_is_no_accuracy(train, make_model):
    assert {point.top1_percent for point in train(make_model(), test=None).curve} == {None}


@pytest.mark.parametrize(
    "options", [{}, {"proj_drop_rate": 0.3, "drop_path_rate": 0.3}], ids=["plain", "dropout"]
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stopped_run_ends_with_the_same_weights(train, make_model, tmp_path, options, precision):
    whole, stopped = make_model(**options), make_model(**options)
    start = copy.deepcopy(stopped)
    expected = train(whole, precision=precision, checkpoint_path=tmp_path / "whole.ckpt")
    with pytest.raises(Stopped):
        train(stopped, precision=precision, on_progress=stop_at(9))
    # A new process starts from the initial weights, with torch's generator anywhere.
    torch.manual_seed(99)
    steps = []
    found = train(start, precision=precision, on_progress=lambda progress: steps.append(progress.step))
    assert steps[0] > 6
    assert found.resumed == 1
    assert without_times(found.curve) == without_times(expected.curve)
    assert found.images_seen == expected.images_seen
    assert found.order_sha256 == expected.order_sha256
    assert same_weights(start, whole)
    assert not same_weights(stopped, whole)


def test_resuming_is_counted_each_time(train, make_model):
    for step in (9, 15):
        with pytest.raises(Stopped):
            train(make_model(), on_progress=stop_at(step))
    assert train(make_model()).resumed == 2


def test_a_run_that_was_done_is_only_loaded(train, make_model):
    first = make_model()
    expected = train(first)
    again = make_model()
    found = train(again, on_progress=lambda _: pytest.fail("a step was taken"))
    assert found.curve == expected.curve
    assert same_weights(first, again)


def test_a_damaged_checkpoint_is_told_and_not_used(train, make_model, tmp_path):
    first = make_model()
    expected = train(first)
    path = tmp_path / "last.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    notes = []
    again = make_model()
    found = train(again, on_note=notes.append)
    assert len(notes) == 1
    assert str(path) in notes[0]
    assert "starts anew" in notes[0]
    assert found.resumed == 0
    assert without_times(found.curve) == without_times(expected.curve)
    assert same_weights(first, again)


def test_a_checkpoint_of_another_cell_or_model_is_refused(train, make_model, tmp_path):
    train(make_model())
    with pytest.raises(CheckpointError, match="belongs to cell dddddddddd, not to eeeeeeeeee"):
        train(make_model(), digest="e" * 64)
    with pytest.raises(CheckpointError, match="another model"):
        train(make_model(embed_dim=64))
    assert read_checkpoint(tmp_path / "last.ckpt").digest == "d" * 64


def test_the_seed_decides_dropout_and_nothing_else_does(train, make_model, tmp_path):
    def weights(seed, *, noise_before):
        model = make_model(proj_drop_rate=0.3)
        torch.manual_seed(noise_before)
        train(model, seed=seed, checkpoint_path=tmp_path / f"{seed}-{noise_before}.ckpt")
        return model

    one, same, other = weights(0, noise_before=1), weights(0, noise_before=2), weights(1, noise_before=1)
    assert same_weights(one, same)
    assert not same_weights(one, other)


def test_torchs_own_generator_is_left_as_it_was(train, make_model):
    model = make_model(proj_drop_rate=0.3)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(model)
    assert torch.get_rng_state().equal(before)


def test_testing_after_each_epoch_does_not_change_training(train, make_model, tmp_path):
    tested, untested = make_model(drop_path_rate=0.3), make_model(drop_path_rate=0.3)
    train(tested)
    train(untested, test=None, checkpoint_path=tmp_path / "untested.ckpt")
    assert same_weights(tested, untested)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tiny_model_learns_64_images_by_heart(train, make_model, make_noise, precision):
    batches = make_noise(64, 32)
    model = make_model()
    recipe = Recipe(
        epochs=80, batch_size=32, learning_rate=3e-3, warmup_epochs=2, weight_decay=0.0, label_smoothing=0.0
    )
    test = [(batches.images, batches.labels)]
    before = evaluate(model, test, device=CPU, precision="fp32")
    result = train(model, batches=batches, recipe=recipe, test=None, precision=precision)
    after = evaluate(model, test, device=CPU, precision="fp32")
    assert before.top1_percent < 40
    assert after.top1_percent == 100.0
    assert result.curve[0].loss > 2
    assert result.curve[-1].loss < 0.1


def test_label_smoothing_reaches_the_loss(train, make_model, noise):
    # Smoothed cross-entropy: (1 - s) times the plain one plus s times the mean of -log p over the classes.
    model = make_model()
    with torch.no_grad():
        images, labels = next(iter(noise(0)))
        minus_log = -model(images).log_softmax(1)
        plain, spread = minus_log.gather(1, labels[:, None]).mean(), minus_log.mean()
    told = []
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=1e-9, label_smoothing=0.4)
    train(model, batches=FirstBatch(noise), recipe=recipe, on_progress=told.append)
    assert told[0].loss == pytest.approx(float(0.6 * plain + 0.4 * spread), rel=1e-5)


class FirstBatch:
    def __init__(self, batches):
        self.steps_per_epoch, self.batch_size, self._batches = 1, batches.batch_size, batches

    def __call__(self, epoch):
        yield next(iter(self._batches(epoch)))

    def digests(self, epochs):
        return self._batches.digests(epochs)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_cuda_is_near_one_on_cpu(train, make_model, make_noise, tmp_path):
    class OnCuda(make_noise):
        def __call__(self, epoch):
            for images, labels in super().__call__(epoch):
                yield images.cuda(), labels.cuda()

    cpu = train(make_model(), test=None)
    options = {"test": None, "device": torch.device("cuda"), "checkpoint_path": tmp_path / "cuda.ckpt"}
    cuda = train(make_model(), batches=OnCuda(), **options)
    losses = [[point.loss for point in result.curve] for result in (cpu, cuda)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    again = train(make_model(), batches=OnCuda(), **options)
    assert [point.loss for point in again.curve] == losses[1]
