"""What evaluation counts, image by image, and that the number of processes changes nothing."""

import json
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from swatbench.errors import DataError, ModelError, TrainingError
from swatbench.store.record import Evaluated
from swatbench.train.evaluate import evaluate
from swatbench.train.score import calibration_error
from swatbench.world import ALONE
from tests.worlds import in_world

CPU = torch.device("cpu")
DTYPES = {
    "label": "int64",
    "predicted": "int64",
    "margin": "float32",
    "loss": "float32",
    "confidence": "float32",
}


class Given(nn.Module):
    """Returns the logits that it is given as images."""

    def forward(self, images):
        assert not self.training
        assert not torch.is_grad_enabled()
        return images


class Share:
    """Every size-th test image from the rank's own on, in batches."""

    def __init__(self, images, labels, *, batch_size=7, rank=0, size=1):
        own = slice(rank, None, size)
        images, labels = torch.as_tensor(images), torch.as_tensor(labels)
        self.images = len(images)
        self.positions = np.arange(len(images))[own]
        self.batches = list(zip(images[own].split(batch_size), labels[own].split(batch_size), strict=True))

    def __iter__(self):
        return iter(self.batches if len(self.positions) else [])


def judge(logits, labels, *, world=ALONE, batch_size=7, **options):
    logits = torch.as_tensor(logits)
    tests = Share(logits, labels, batch_size=batch_size, rank=world.rank, size=world.size)
    options = {"num_classes": logits.shape[1]} | options
    return evaluate(Given(), tests, device=CPU, precision="fp32", world=world, **options)


def guesses(n=300, K=20, *, seed=0):
    """Logits and labels of a model that is right now and then."""
    generator = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(n, K, generator=generator), torch.randint(K, (n,), generator=generator)
    logits[torch.arange(n), labels] += 1
    return logits, labels


def everything(result):
    """All that an evaluation holds, for comparison."""
    arrays = {name: (str(values.dtype), values.tolist()) for name, values in result.predictions.items()}
    return result.record("raw", "predictions.npz"), arrays


def test_the_numbers_of_three_images_by_hand():
    result = judge([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 3.0, 3.0]], [0, 1, 1])
    assert result.predictions["label"].tolist() == [0, 1, 1]
    # The third is a tie of label and rival: it counts as wrong, and for the rival.
    assert result.predictions["predicted"].tolist() == [0, 0, 2]
    assert result.predictions["margin"].tolist() == [1.0, -1.0, 0.0]
    total = np.log(np.exp([2.0, 1.0, 0.0]).sum())
    expected = [total - 2, total - 1, np.log(1 + 2 * np.exp(3)) - 3]
    assert result.predictions["loss"] == pytest.approx(expected, rel=1e-6)
    assert result.loss == pytest.approx(np.mean(expected), rel=1e-6)
    assert (result.images, result.correct) == (3, 1)
    assert result.top1_percent == pytest.approx(100 / 3)
    assert result.top5_percent == 100.0
    confidence = np.exp([2.0, 2.0, 3.0]) / [np.exp(total), np.exp(total), 1 + 2 * np.exp(3)]
    assert result.predictions["confidence"] == pytest.approx(confidence, rel=1e-6)
    # The two of 0.665 share a bin, where half are right; the tie of 0.488 is alone in its own.
    expected = (2 * (confidence[0] - 0.5) + confidence[2]) / 3
    assert result.calibration_error == pytest.approx(expected, rel=1e-6)
    assert result.per_class_percent == (100.0, 0.0, None)


def test_it_agrees_with_timms_evaluator_where_there_is_no_tie():
    from timm.task import ClassificationEvaluator

    logits, labels = guesses()
    theirs = ClassificationEvaluator()
    theirs.update(logits, labels)
    ours, expected = judge(logits, labels), theirs.compute()
    assert 20 < ours.top1_percent < ours.top5_percent < 100
    assert ours.top1_percent == pytest.approx(expected["top1"])
    assert ours.top5_percent == pytest.approx(expected["top5"])
    assert ours.loss == pytest.approx(expected["loss"], rel=1e-5)
    assert ours.predictions["predicted"].tolist() == logits.argmax(1).tolist()


def test_label_prediction_margin_and_count_agree_even_in_coarse_numbers():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 3, (500, 10), generator=generator).float()
    result = judge(logits, torch.randint(10, (500,), generator=generator))
    right = result.predictions["predicted"] == result.predictions["label"]
    assert right.tolist() == (result.predictions["margin"] > 0).tolist()
    assert right.sum() == result.correct
    assert (result.predictions["margin"] == 0).sum() > 50


def test_top_5_counts_ties_as_wrong():
    logits = torch.zeros(1, 10)
    assert judge(logits, [9]).top5_percent == 0.0
    logits[0, 5:] = -1
    assert judge(logits, [4]).top5_percent == 100.0


def test_rows_do_not_depend_on_the_batches():
    logits, labels = torch.randn(20, 10, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 10
    one, many = judge(logits, labels, batch_size=20), judge(logits, labels, batch_size=3)
    for name, values in one.predictions.items():
        assert many.predictions[name].tolist() == values.tolist()
    assert one.loss == many.loss
    assert {name: str(values.dtype) for name, values in one.predictions.items()} == DTYPES


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_an_error(value):
    logits = torch.zeros(10, 4)
    logits[3, 1] = value
    with pytest.raises(TrainingError, match="1 of 10 test images"):
        judge(logits, [0] * 10)


def test_logits_too_far_apart_for_a_loss_are_an_error():
    with pytest.raises(TrainingError, match="1 of 2 test images"):
        judge([[3e38, -3e38], [0.0, 1.0]], [0, 1])


def test_five_classes_or_fewer_are_all_in_the_top_5():
    assert judge(torch.zeros(4, 5), [0, 1, 2, 4]).top5_percent == 100.0
    assert judge(torch.zeros(4, 6), [0, 1, 2, 4]).top5_percent == 0.0


def test_confidence_and_calibration_agree_with_torchmetrics():
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, labels = guesses(1000, 6)
    logits = 3 * logits
    ours, probabilities = judge(logits, labels), logits.softmax(1)
    assert ours.predictions["confidence"].tolist() == probabilities.amax(1).tolist()
    theirs = multiclass_calibration_error(probabilities, labels, num_classes=6, n_bins=15, norm="l1")
    assert 0.05 < ours.calibration_error == pytest.approx(float(theirs), rel=1e-4)


def test_certainty_belongs_to_the_last_bin():
    confidence = np.array([1.0, 1.0, 0.95, 0.95], dtype=np.float32)
    # Two wrong of mean confidence 0.975, and never a bin of their own for the two of exactly 1.
    assert calibration_error(confidence, np.array([True, False, True, False])) == pytest.approx(0.475)
    assert calibration_error(confidence, np.array([True, True, False, False])) == pytest.approx(0.475)


def test_a_model_without_errors_that_is_certain_has_no_calibration_error():
    result = judge(200 * torch.eye(10), range(10))
    assert result.calibration_error == 0.0
    assert result.per_class_percent == (100.0,) * 10


def test_accuracy_of_each_class_by_hand():
    logits = torch.eye(4)[[0, 0, 1, 3, 3, 3]]
    assert judge(logits, [0, 0, 0, 3, 1, 1]).per_class_percent == (200 / 3, 0.0, None, 100.0)


def test_the_record_tells_what_was_found():
    result = judge(*guesses())
    assert result.record("ema", "predictions.npz") == Evaluated(
        weights="ema",
        images=300,
        correct=result.correct,
        top1_percent=result.top1_percent,
        top5_percent=result.top5_percent,
        loss=result.loss,
        calibration_error=result.calibration_error,
        per_class_percent=result.per_class_percent,
        file="predictions.npz",
    )


def test_a_model_chooses_among_the_allowed_classes_alone():
    logits, labels = guesses(400, 8)
    allowed = np.array([1, 2, 3, 5, 6, 7])
    keep = np.isin(labels.numpy(), allowed)
    ours = judge(logits[keep], labels[keep], allowed=allowed)
    among = judge(logits[keep][:, allowed], np.searchsorted(allowed, labels[keep].numpy()))
    assert ours.correct == among.correct > judge(logits[keep], labels[keep]).correct
    assert allowed[among.predictions["predicted"]].tolist() == ours.predictions["predicted"].tolist()
    for name in ("margin", "loss", "confidence"):
        assert ours.predictions[name] == pytest.approx(among.predictions[name], rel=1e-5, abs=1e-6)
    assert ours.top5_percent == among.top5_percent < 100
    assert ours.calibration_error == pytest.approx(among.calibration_error, abs=1e-6)
    assert [ours.per_class_percent[k] for k in allowed] == list(among.per_class_percent)
    assert ours.per_class_percent[0] is ours.per_class_percent[4] is None


def test_a_logit_that_is_not_finite_is_told_where_its_class_is_not_allowed_too():
    with pytest.raises(TrainingError, match="1 of 1 test images"):
        judge([[0.0, 1.0, float("nan")]], [0], allowed=np.array([0, 1]))


def test_a_label_that_is_not_allowed_is_an_error():
    with pytest.raises(ValueError, match="not among the allowed classes"):
        judge(torch.zeros(2, 3), [0, 2], allowed=np.array([0, 1]))


@pytest.mark.parametrize("allowed", [[], [3], [-1, 0]])
def test_allowed_classes_are_classes(allowed):
    with pytest.raises(ValueError, match="allowed classes must be some of 0 to 2"):
        judge(torch.zeros(2, 3), [0, 1], allowed=np.array(allowed, dtype=np.int64))


def test_any_of_several_labels_is_right_and_images_without_any_are_left_out():
    logits = [[0.0, 1.0, 3.0], [2.0, 1.0, 0.0], [9.0, 0.0, 0.0], [1.0, 1.0, 0.0], [5.0, 5.0, 1.0]]
    result = judge(logits, [0] * 5, real=[(1, 2), (2, 1), (), (0,), (1, 0)])
    # The fourth is a tie of right and wrong; the fifth one of two that are right.
    assert result.predictions["margin"].tolist() == [3.0, -1.0, 0.0, 4.0]
    assert result.predictions["label"].tolist() == [1, 2, 0, 1]
    assert result.predictions["predicted"].tolist() == [1, 0, 1, 1]
    assert (result.images, result.correct, result.top1_percent) == (4, 2, 50.0)
    assert result.top5_percent is result.loss is result.calibration_error is None
    assert result.per_class_percent == ()
    assert list(result.predictions) == ["label", "predicted", "margin", "confidence"]
    assert result.predictions["confidence"][0] == pytest.approx(np.exp(3) / (1 + np.e + np.exp(3)))


def test_one_label_each_as_several_gives_what_labels_give():
    logits, labels = guesses()
    plain, several = judge(logits, labels), judge(logits, [0] * 300, real=[(k,) for k in labels.tolist()])
    for name, values in several.predictions.items():
        assert values.tolist() == plain.predictions[name].tolist()
    assert several.correct == plain.correct


def test_real_labels_count_as_timms_do(tmp_path):
    from timm.data.real_labels import RealLabelsImagenet

    logits, labels = guesses(60, 20)
    rng = np.random.default_rng(0)
    real = [tuple(rng.choice(20, size=rng.integers(0, 4), replace=False).tolist()) for _ in labels]
    (tmp_path / "real.json").write_text(json.dumps(real))
    names = [f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(60)]
    theirs = RealLabelsImagenet(names, real_json=tmp_path / "real.json")
    theirs.add_result(logits)
    assert judge(logits, labels, real=real).top1_percent == pytest.approx(theirs.get_accuracy(1))


@pytest.mark.parametrize(
    ("real", "message"),
    [
        ([(0,)], "labels for 1 images, not for 2"),
        ([(), ()], "must be labels, from 0 to 2"),
        ([(0,), (3,)], "must be labels, from 0 to 2"),
        ([(0,), (-1,)], "must be labels, from 0 to 2"),
    ],
)
def test_several_labels_must_fit_the_images(real, message):
    with pytest.raises(ValueError, match=message):
        judge(torch.zeros(2, 3), [0, 0], real=real)


def test_no_image_is_an_error():
    with pytest.raises(ValueError, match="at least one test image"):
        judge(torch.zeros(0, 3), [])


def test_another_number_of_classes_is_the_models_error():
    with pytest.raises(ModelError, match="chooses among 3 classes, and the data have 10"):
        judge(torch.zeros(2, 3), [0, 0], num_classes=10)


def test_rows_come_in_the_order_of_the_test_set():
    logits, labels = guesses(20)
    shuffled, order = Share(logits, labels), torch.randperm(20, generator=torch.Generator().manual_seed(3))
    shuffled.positions, shuffled.batches = order.numpy(), [(logits[order], labels[order])]
    result = evaluate(Given(), shuffled, device=CPU, precision="fp32", num_classes=20)
    assert everything(result) == everything(judge(logits, labels, batch_size=20))
    real = [(k, (k + 1) % 20) for k in labels.tolist()]
    several = evaluate(Given(), shuffled, device=CPU, precision="fp32", num_classes=20, real=real)
    assert everything(several) == everything(judge(logits, labels, batch_size=20, real=real))


def missing_an_image(tests):
    tests.batches = tests.batches[:-1]


def twice_the_first(tests):
    tests.positions = np.array([0, 0, *tests.positions[2:]])


def nothing(tests):
    tests.batches = []


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (missing_an_image, "Of 8 test images 1 were missed, and 0 came more than once"),
        (twice_the_first, "Of 8 test images 1 were missed, and 1 came more than once"),
        (nothing, "Of 8 test images 8 were missed, and 0 came more than once"),
    ],
)
def test_images_that_are_missing_or_doubled_are_an_error(harm, message):
    tests = Share(torch.zeros(8, 3), [0] * 8)
    harm(tests)
    with pytest.raises(DataError, match=message):
        evaluate(Given(), tests, device=CPU, precision="fp32", num_classes=3)


def test_more_images_than_there_are_is_an_error():
    tests = Share(torch.zeros(8, 3), [0] * 8)
    tests.batches *= 2
    with pytest.raises(DataError, match="More than the 8 test images came"):
        evaluate(Given(), tests, device=CPU, precision="fp32", num_classes=3)


def evaluate_together(world, *, n=32):
    logits, labels = guesses(n)
    real = [(k, (k + 1) % 20)[: i % 3] for i, k in enumerate(labels.tolist())]
    allowed = labels.unique().numpy()
    return [
        everything(judge(logits, labels, world=world, batch_size=4, **options))
        for options in ({}, {"allowed": allowed}, {"real": real})
    ]


@pytest.mark.parametrize(("size", "n"), [(2, 31), (3, 32), (3, 2)])
def test_processes_together_find_exactly_what_one_finds(size, n):
    alone = evaluate_together(ALONE, n=n)
    assert in_world(partial(evaluate_together, n=n), size) == [alone] * size


def fail_together(world):
    """Each kind of failure is in the second process's images alone."""
    broken = torch.zeros(9, 3)
    broken[3, 1] = torch.nan
    told = []
    try:
        judge(broken, [0] * 9, world=world)
    except TrainingError as error:
        told.append(str(error))
    tests = Share(torch.zeros(9, 3), [0] * 9, rank=world.rank, size=world.size)
    if world.rank == 1:
        tests.positions[-1] = 0
    try:
        evaluate(Given(), tests, device=CPU, precision="fp32", num_classes=3, world=world)
    except DataError as error:
        told.append(str(error))
    return told


def test_a_failure_of_one_process_images_is_told_alike_by_all():
    first, second = in_world(fail_together, 2)
    assert first == second
    assert "not finite for 1 of 9 test images" in first[0]
    assert "Of 9 test images 1 were missed, and 1 came more than once" in first[1]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_evaluated_in_eval_mode_and_left_as_it_came(make_model, noise, training):
    model = make_model(proj_drop_rate=0.5).train(training)
    tests = Share(noise.images, noise.labels)
    first, second = (evaluate(model, tests, device=CPU, precision="fp32", num_classes=10) for _ in range(2))
    assert first.loss == second.loss
    assert model.training is training


def test_bf16_is_near_fp32_and_margins_are_float32(make_model, noise):
    model = make_model()
    tests = Share(noise.images, noise.labels)
    coarse, fine = (
        evaluate(model, tests, device=CPU, precision=name, num_classes=10) for name in ("bf16", "fp32")
    )
    assert coarse.loss == pytest.approx(fine.loss, rel=0.02)
    assert coarse.loss != fine.loss
    assert coarse.predictions["margin"].dtype == np.float32


def test_the_loss_is_torchs_cross_entropy(make_model, noise):
    model = make_model().eval()
    with torch.no_grad():
        expected = F.cross_entropy(model(noise.images), noise.labels)
    tests = Share(noise.images, noise.labels)
    found = evaluate(model, tests, device=CPU, precision="fp32", num_classes=10)
    assert found.loss == pytest.approx(float(expected), rel=1e-5)
