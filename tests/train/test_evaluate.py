import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.task import ClassificationEvaluator
from torch import nn

from swatbench.errors import TrainingError
from swatbench.train.evaluate import evaluate

CPU = torch.device("cpu")


class Given(nn.Module):
    """Returns the logits that it is given as images."""

    def forward(self, images):
        assert not self.training
        assert not torch.is_grad_enabled()
        return images


def judge(logits, labels, *, batch_size=7):
    logits, labels = torch.as_tensor(logits), torch.as_tensor(labels)
    batches = zip(logits.split(batch_size), labels.split(batch_size), strict=True)
    return evaluate(Given(), list(batches), device=CPU, precision="fp32")


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


def test_it_agrees_with_timms_evaluator_where_there_is_no_tie():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 20, generator=generator)
    labels = torch.randint(20, (300,), generator=generator)
    logits[torch.arange(300), labels] += 1
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
    assert {name: str(values.dtype) for name, values in one.predictions.items()} == {
        "label": "int64",
        "predicted": "int64",
        "margin": "float32",
        "loss": "float32",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_an_error(value):
    logits = torch.zeros(10, 4)
    logits[3, 1] = value
    with pytest.raises(TrainingError, match="1 of 10 test images"):
        judge(logits, [0] * 10)


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="at least one test batch"):
        evaluate(Given(), [], device=CPU, precision="fp32")


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_evaluated_in_eval_mode_and_left_as_it_came(make_model, noise, training):
    model = make_model(proj_drop_rate=0.5).train(training)
    first, second = (evaluate(model, noise(0), device=CPU, precision="fp32") for _ in range(2))
    assert first.loss == second.loss
    assert model.training is training


def test_bf16_is_near_fp32_and_margins_are_float32(make_model, noise):
    model = make_model()
    coarse, fine = (evaluate(model, noise(0), device=CPU, precision=name) for name in ("bf16", "fp32"))
    assert coarse.loss == pytest.approx(fine.loss, rel=0.02)
    assert coarse.loss != fine.loss
    assert coarse.predictions["margin"].dtype == np.float32


def test_the_loss_is_torchs_cross_entropy(make_model, noise):
    model = make_model().eval()
    with torch.no_grad():
        expected = F.cross_entropy(model(noise.images), noise.labels)
    found = evaluate(model, [(noise.images, noise.labels)], device=CPU, precision="fp32").loss
    assert found == pytest.approx(float(expected), rel=1e-5)
