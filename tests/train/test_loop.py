import copy

import pytest
import torch
from timm.utils import ModelEmaV3

from swatbench.errors import CheckpointError, MachineError, ModelError
from swatbench.spec.cells import Speed
from swatbench.spec.recipe import Ema, Recipe
from swatbench.train.epoch import TrainingStopped
from swatbench.train.evaluate import evaluate
from swatbench.train.loop import fit
from swatbench.train.objective import Classes
from swatbench.train.retention import NEWEST, PREVIOUS, Retention
from swatbench.train.state import Listener

CPU = torch.device("cpu")
SPEED = Speed(
    tf32=False, channels_last=False, compile="none", fused_optimizer=True, gradient_checkpointing=False
)


class Stopped(Exception):  # noqa: N818
    """Stands for whatever ends a run in the middle."""


UNTOLD = {"progress": lambda _: None, "epoch": lambda _: None, "begin": lambda _: None, "note": pytest.fail}


@pytest.fixture
def train(tmp_path, noise, recipe, make_test, fit_options):
    def run(model, *, batches=noise, recipe=recipe, folder="run", **options):
        heard = {
            name: options.pop(name) for name in ("progress", "epoch", "begin", "note") if name in options
        }
        should_stop = options.pop("should_stop", lambda: False)
        listener = Listener(**{**UNTOLD, **heard}, should_stop=should_stop)
        values = {
            **fit_options,
            "test": make_test(noise.images[:20], noise.labels[:20]),
            "recipe": recipe,
            "retention": Retention(tmp_path / folder, keep_every_epochs=None, keep_best=False),
            "listener": listener,
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


def score(model, test):
    return evaluate(model, test, device=CPU, precision="fp32", num_classes=10)


def test_a_result_states_what_was_done(train, make_model, make_test, noise):
    model = make_model()
    result = train(model)
    assert [point.epoch for point in result.curve] == [1, 2, 3]
    assert [point.step for point in result.curve] == [6, 12, 18]
    assert result.images_seen == 3 * 48
    assert result.resumed == 0
    assert result.train_s == pytest.approx(sum(point.compute_s + point.data_s for point in result.curve))
    assert (result.order_sha256, result.augmentation_sha256) == noise.digests(3)
    final = score(model, make_test(noise.images[:20], noise.labels[:20]))
    assert result.curve[-1].top1_percent == final.top1_percent


def test_without_test_batches_there_is_no_accuracy(train, make_model):
    assert {point.top1_percent for point in train(make_model(), test=None).curve} == {None}


@pytest.mark.parametrize(
    "options", [{}, {"proj_drop_rate": 0.3, "drop_path_rate": 0.3}], ids=["plain", "dropout"]
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stopped_run_ends_with_the_same_weights(train, make_model, options, precision):
    whole, stopped = make_model(**options), make_model(**options)
    start = copy.deepcopy(stopped)
    expected = train(whole, precision=precision, folder="whole")
    with pytest.raises(Stopped):
        train(stopped, precision=precision, progress=stop_at(9))
    # A new process starts from the initial weights, with torch's generator anywhere.
    torch.manual_seed(99)
    steps = []
    found = train(start, precision=precision, progress=lambda progress: steps.append(progress.step))
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
            train(make_model(), progress=stop_at(step))
    assert train(make_model()).resumed == 2


def test_a_run_that_was_done_is_only_loaded(train, make_model):
    first = make_model()
    expected = train(first)
    again = make_model()
    found = train(again, progress=lambda _: pytest.fail("a step was taken"))
    assert found.curve == expected.curve
    assert same_weights(first, again)


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_is_used(train, make_model, tmp_path):
    first = make_model()
    expected = train(first)
    path = tmp_path / "run" / NEWEST
    path.write_bytes(path.read_bytes()[:-100])
    notes = []
    again = make_model()
    found = train(again, note=notes.append)
    assert any(str(path) in note for note in notes)
    assert found.resumed == 1
    assert without_times(found.curve) == without_times(expected.curve)
    assert same_weights(first, again)


def test_a_checkpoint_of_another_cell_or_model_is_refused(train, make_model):
    train(make_model())
    with pytest.raises(CheckpointError, match="belongs to cell dddddddddd, not to eeeeeeeeee"):
        train(make_model(), digest="e" * 64)
    with pytest.raises(CheckpointError, match="another model"):
        train(make_model(embed_dim=64))
    assert train(make_model()).resumed == 1


def test_the_seed_decides_dropout_and_nothing_else_does(train, make_model):
    def weights(seed, *, noise_before):
        model = make_model(proj_drop_rate=0.3)
        torch.manual_seed(noise_before)
        train(model, seed=seed, folder=f"{seed}-{noise_before}")
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


def test_testing_after_each_epoch_does_not_change_training(train, make_model):
    tested, untested = make_model(drop_path_rate=0.3), make_model(drop_path_rate=0.3)
    train(tested)
    train(untested, test=None, folder="untested")
    assert same_weights(tested, untested)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tiny_model_learns_64_images_by_heart(train, make_model, make_noise, make_test, precision):
    batches = make_noise(64, 32)
    model = make_model()
    recipe = Recipe(
        epochs=60, batch_size=32, learning_rate=3e-3, warmup_epochs=2, weight_decay=0.0, label_smoothing=0.0
    )
    test = make_test(batches.images, batches.labels)
    before = score(model, test)
    result = train(model, batches=batches, recipe=recipe, test=None, precision=precision)
    after = score(model, test)
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
    objective = Classes(num_classes=10, label_smoothing=recipe.label_smoothing)
    train(model, batches=FirstBatch(noise), recipe=recipe, objective=objective, progress=told.append)
    assert told[0].loss == pytest.approx(float(0.6 * plain + 0.4 * spread), rel=1e-5)


class FirstBatch:
    def __init__(self, batches):
        self.steps_per_epoch, self.batch_size, self._batches = 1, batches.batch_size, batches
        self.micro_batches = 1

    def __call__(self, epoch, *, start=0):
        yield from list(self._batches(epoch))[start:1]

    def digests(self, epochs):
        return self._batches.digests(epochs)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("step", [1, 4, 6, 7, 18])
def test_a_run_asked_to_stop_at_any_step_ends_with_the_same_bits(
    train, make_model, noise, recipe, precision, step
):
    options = {
        "recipe": recipe.model_copy(update={"ema": Ema(decay=0.9)}),
        "precision": precision,
    }
    whole, stopped = make_model(drop_path_rate=0.3), make_model(drop_path_rate=0.3)
    start = copy.deepcopy(stopped)
    expected = train(whole, folder="whole", **options)
    given = Given(noise)
    with pytest.raises(TrainingStopped):
        train(stopped, batches=given, should_stop=lambda: given.steps >= step, **options)
    begun = []
    found = train(start, begin=begun.append, **options)
    assert begun == [step]
    assert without_times(found.curve) == without_times(expected.curve)
    assert same_weights(start, whole)
    assert same_weights(found.average, expected.average)


class Given:
    """Training images, and how many steps of them were given."""

    def __init__(self, batches):
        self.steps, self._batches = 0, batches

    def __getattr__(self, name):
        return getattr(self._batches, name)

    def __call__(self, epoch, *, start=0):
        for batch in self._batches(epoch, start=start):
            self.steps += 1
            yield batch


class Passes:
    """Test images, and how often somebody began to go through them."""

    def __init__(self, batches):
        self.images, self.positions, self.begun, self._batches = batches.images, batches.positions, 0, batches

    def __iter__(self):
        self.begun += 1
        yield from self._batches


@pytest.mark.parametrize("tested", [1, 2], ids=["the weights", "their average"])
def test_a_run_asked_to_stop_while_it_is_tested_keeps_the_epoch(
    train, make_model, make_test, noise, recipe, tested
):
    options = {"recipe": recipe.model_copy(update={"ema": Ema(decay=0.9)})}
    whole, stopped = make_model(drop_path_rate=0.3), make_model(drop_path_rate=0.3)
    start = copy.deepcopy(stopped)
    expected = train(whole, folder="whole", **options)
    test = Passes(make_test(noise.images[:20], noise.labels[:20]))
    with pytest.raises(TrainingStopped):
        train(stopped, test=test, should_stop=lambda: test.begun >= tested, **options)
    begun = []
    found = train(start, begin=begun.append, **options)
    assert begun == [noise.steps_per_epoch]
    assert without_times(found.curve) == without_times(expected.curve)
    assert same_weights(start, whole)


def test_a_checkpoint_is_written_when_it_is_time(train, make_model, tmp_path):
    seen = []

    def progress(_):
        seen.append((tmp_path / "run" / NEWEST).exists())

    train(make_model(), every_s=1e-9, progress=progress)
    assert seen[:2] == [False, True]
    seen.clear()
    (tmp_path / "run" / NEWEST).unlink()
    (tmp_path / "run" / PREVIOUS).unlink()
    train(make_model(), every_s=1e9, progress=progress)
    assert seen[:2] == [False, False]


def test_the_moving_average_is_timm_s_and_is_tested_beside_the_weights(train, make_model, make_noise, recipe):
    model = make_model()
    twin = ModelEmaV3(copy.deepcopy(model), decay=0.9)
    # Two steps an epoch, and a report after each, at which the weights are those of that step.
    result = train(
        model,
        batches=make_noise(16, 8),
        recipe=recipe.model_copy(update={"ema": Ema(decay=0.9)}),
        progress=lambda now: twin.update(model, step=now.step),
    )
    assert {type(point.ema_top1_percent) for point in result.curve} == {float}
    assert not same_weights(result.average, model)
    assert same_weights(result.average, twin.module)
    assert train(make_model(), folder="without").average is None


def test_gradient_checkpointing_and_channels_last_change_no_more_than_rounding(train, make_model):
    plain, other = make_model(), make_model()
    train(plain)
    switches = {"gradient_checkpointing": True, "channels_last": True}
    train(other, folder="other", speed=SPEED.model_copy(update=switches))
    assert other.grad_checkpointing
    assert other.patch_embed.proj.weight.is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("micro_batch_size", [2, 4])
def test_micro_batches_add_up_to_the_batch(train, make_model, make_noise, micro_batch_size):
    plain, added = make_model(), make_model()
    train(plain)
    train(added, batches=make_noise(micro_batch_size=micro_batch_size), folder="added")
    for ours, theirs in zip(plain.parameters(), added.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not same_weights(plain, make_model())


def test_a_model_without_blocks_to_compute_again_says_so(train):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
    with pytest.raises(ModelError, match="gradient_checkpointing: Sequential cannot compute its blocks"):
        train(model, speed=SPEED.model_copy(update={"gradient_checkpointing": True}))


def test_memory_that_ran_out_names_the_micro_batch_that_fits(train, make_model, make_noise):
    model = make_model()
    forward = model.forward

    def limited(images):
        if len(images) > 2:
            raise torch.OutOfMemoryError("Tried to allocate 9 GiB")
        return forward(images)

    model.forward = limited
    with pytest.raises(
        MachineError, match=r"a micro-batch of 8; one of 2 fits .* Set recipe.micro_batch_size: 2"
    ):
        train(model, batches=make_noise(48, 8))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_cuda_is_near_one_on_cpu(train, make_model, make_noise):
    class OnCuda(make_noise):
        def __call__(self, epoch, *, start=0):
            for images, labels in super().__call__(epoch, start=start):
                yield images.cuda(), labels.cuda()

    cpu = train(make_model(), test=None)
    options = {"test": None, "device": torch.device("cuda"), "folder": "cuda"}
    cuda = train(make_model(), batches=OnCuda(), **options)
    losses = [[point.loss for point in result.curve] for result in (cpu, cuda)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    again = train(make_model(), batches=OnCuda(), **options)
    assert [point.loss for point in again.curve] == losses[1]
