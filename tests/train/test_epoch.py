import copy
import math
from dataclasses import replace
from itertools import count

import pytest
import torch
import torch.nn.functional as F

from swatbench.errors import TrainingError
from swatbench.train.epoch import Tally, Trainer, TrainingStopped, run_epoch
from swatbench.train.optim import make_optimizer, make_scheduler


@pytest.fixture
def make_trainer(make_model, make_stepper, noise, recipe):
    def make(*, model=None, batches=noise, recipe=recipe, precision="fp32", **options):
        stepper = make_stepper(make_model() if model is None else model, recipe, precision=precision)
        values = {
            "stepper": stepper,
            "scheduler": make_scheduler(stepper.optimizer, recipe, steps_per_epoch=batches.steps_per_epoch),
            "batches": batches,
            "guessing": math.log(10),
            "on_progress": lambda _: None,
            "on_pause": lambda *_: None,
            "should_stop": lambda: False,
        }
        return Trainer(**(values | options))

    return make


def test_an_epoch_equals_a_plain_loop(make_model, make_trainer, noise, recipe):
    model = make_model()
    twin = copy.deepcopy(model)
    point = run_epoch(make_trainer(model=model), 0, Tally())

    optimizer = make_optimizer(twin, recipe, fused=True)
    losses = []
    for t, (images, labels) in enumerate(noise(0)):
        rate = 1e-6 + (1e-3 - 1e-6) * t / 3 if t < 3 else 1e-3 * (1 + math.cos(math.pi * (t - 3) / 15)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = F.cross_entropy(twin(images), labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    for (name, ours), theirs in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-7), name
    assert point.loss == pytest.approx(sum(losses) / 6)
    assert (point.epoch, point.step, point.top1_percent) == (1, 6, None)
    assert point.learning_rate == pytest.approx(rate)


@pytest.mark.parametrize(("limit", "smaller"), [(1e-3, True), (None, False), (1e6, False)])
def test_gradients_are_clipped_only_where_asked(make_trainer, recipe, limit, smaller):
    # Plain SGD's first step is the learning rate times the gradient, so its length shows the clipping.
    changes = {"clip_grad_norm": limit, "optimizer": "sgd", "weight_decay": 0.0, "warmup_epochs": 0.0}
    trainer = make_trainer(recipe=recipe.model_copy(update=changes))
    before = torch.nn.utils.parameters_to_vector(trainer.stepper.model.parameters()).detach().clone()
    run_epoch(trainer, 0, Tally())
    after = torch.nn.utils.parameters_to_vector(trainer.stepper.model.parameters()).detach()
    assert ((after - before).norm() < 1e-4) == smaller


@pytest.mark.parametrize(("n", "steps"), [(8, [1]), (16, [1, 2]), (48, [3, 6]), (232, [10, 20, 29])])
def test_progress_comes_twice_an_epoch_and_every_ten_steps(make_trainer, make_noise, n, steps):
    told = []
    trainer = make_trainer(batches=make_noise(n), on_progress=told.append)
    point = run_epoch(trainer, 1, Tally())
    per_epoch = n // 8
    assert [progress.step for progress in told] == [per_epoch + step for step in steps]
    assert {(progress.epoch, progress.epochs, progress.steps) for progress in told} == {(2, 3, 3 * per_epoch)}
    widths = [after - before for before, after in zip([0, *steps], steps, strict=False)]
    mean = sum(progress.loss * width for progress, width in zip(told, widths, strict=True)) / per_epoch
    assert mean == pytest.approx(point.loss)
    assert told[-1].learning_rate == point.learning_rate


def test_waiting_for_data_and_computing_are_told_apart(make_trainer, make_noise):
    # A clock that moves only while a batch is made (2 s each) and while a step is taken (5 s each).
    now = [0.0]
    told = []

    class Slow(make_noise):
        def __call__(self, epoch, *, start=0):
            for batch in super().__call__(epoch, start=start):
                now[0] += 2
                yield batch

    trainer = make_trainer(batches=Slow(), clock=lambda: now[0], on_progress=told.append)
    step = trainer.stepper.optimizer.step

    def slow_step():
        now[0] += 5
        return step()

    trainer.stepper.optimizer.step = slow_step
    point = run_epoch(trainer, 0, Tally())
    assert (point.data_s, point.compute_s) == (12.0, 30.0)
    assert [progress.images_per_s for progress in told] == pytest.approx([8 / 7, 8 / 7])


def test_a_clock_that_stands_still_does_no_harm(make_trainer):
    told = []
    run_epoch(make_trainer(clock=lambda: 1.0, on_progress=told.append), 0, Tally())
    assert told[0].images_per_s == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_its_epoch_and_step(make_trainer, value):
    steps = count(1)

    def loss(logits, labels):
        return F.cross_entropy(logits, labels) + (value if next(steps) == 4 else 0.0)

    trainer = make_trainer()
    trainer.stepper.task.criterion = loss
    with pytest.raises(TrainingError) as caught:
        run_epoch(trainer, 1, Tally())
    assert caught.value.where == "epoch 2, step 4"
    assert "recipe.learning_rate" in caught.value.fix


def test_a_learning_rate_that_is_too_high_ends_in_a_training_error(make_trainer, recipe):
    changes = {"learning_rate": 1e30, "optimizer": "sgd", "clip_grad_norm": None, "warmup_epochs": 0.0}
    with pytest.raises(TrainingError, match="epoch 1, step"):
        run_epoch(make_trainer(recipe=recipe.model_copy(update=changes)), 0, Tally())


def test_bf16_reaches_the_model_and_leaves_the_weights_in_float32(make_model, make_trainer):
    model = make_model()
    seen = []
    model.blocks[0].mlp.fc1.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    run_epoch(make_trainer(model=model, precision="bf16"), 0, Tally())
    assert set(seen) == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_model_trains_in_training_mode(make_model, make_trainer):
    model = make_model().eval()
    seen = []
    model.head.register_forward_hook(lambda module, *_: seen.append(module.training))
    run_epoch(make_trainer(model=model), 0, Tally())
    assert set(seen) == {True}


def test_a_loss_far_above_that_of_guessing_has_exploded(make_trainer):
    trainer = make_trainer()
    trainer.stepper.task.criterion = lambda logits, labels: F.cross_entropy(logits, labels) + 25
    with pytest.raises(TrainingError, match=r"exploded: it is 27\.\d, where guessing gives 2\.3") as caught:
        run_epoch(trainer, 0, Tally())
    assert caught.value.where == "epoch 1, steps 1 to 3"


def test_a_request_to_stop_is_heard_after_the_step_it_came_in(make_trainer):
    asked, paused = iter([False, True, True, True]), []

    def on_pause(epoch, tally, stop):
        paused.append((epoch, len(tally.losses), stop))
        if stop:
            raise TrainingStopped

    with pytest.raises(TrainingStopped):
        run_epoch(make_trainer(should_stop=lambda: next(asked), on_pause=on_pause), 0, Tally())
    assert paused == [(0, 2, True)]


def test_an_epoch_goes_on_from_its_middle(make_model, make_trainer):
    whole, parts = make_model(), make_model()
    expected = run_epoch(make_trainer(model=whole), 1, Tally())
    tally = Tally()

    def stop_after(steps):
        def on_pause(_, tally, __):
            if len(tally.losses) == steps:
                raise TrainingStopped

        return on_pause

    trainer = make_trainer(model=parts, on_pause=stop_after(3))
    with pytest.raises(TrainingStopped):
        run_epoch(trainer, 1, tally)
    trainer = replace(trainer, on_pause=lambda *_: None)
    found = run_epoch(trainer, 1, Tally(losses=tally.losses))
    assert (found.loss, found.learning_rate) == (expected.loss, expected.learning_rate)
    for ours, theirs in zip(whole.parameters(), parts.parameters(), strict=True):
        assert ours.equal(theirs)


def test_an_epoch_that_was_done_but_not_tested_needs_no_step(make_trainer):
    trainer = make_trainer()
    trainer.stepper.task.criterion = pytest.fail
    point = run_epoch(trainer, 1, Tally(losses=[1.0] * 6))
    assert point.loss == 1.0
    assert point.learning_rate == pytest.approx(make_rate(11))


def make_rate(step):
    return 1e-3 * (1 + math.cos(math.pi * (step - 3) / 15)) / 2
