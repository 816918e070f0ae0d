"""Names of what is tracked."""

from swatbench.progress import Progress
from swatbench.store.record import CurvePoint
from swatbench.trackers.tracker import epoch_values, training_values

POINT = CurvePoint(
    epoch=1, step=10, loss=2.0, learning_rate=0.1, top1_percent=None, compute_s=1.0, data_s=0.5
)


def test_training_is_tracked_under_train() -> None:
    told = {"loss": 1.5, "learning_rate": 0.1, "images_per_s": 80.0, "data_share": 0.25}
    progress = Progress(epoch=1, epochs=2, step=5, steps=20, **told)
    assert training_values(progress) == {f"train/{name}": value for name, value in told.items()}


def test_an_epoch_is_tracked_by_what_was_measured_after_it() -> None:
    assert epoch_values(POINT) == {}
    tested = POINT.model_copy(update={"top1_percent": 40.0, "ema_top1_percent": 42})
    assert epoch_values(tested) == {"test/top1_percent": 40.0, "test/ema_top1_percent": 42.0}


def test_of_segmentation_mean_iou_is_tracked() -> None:
    tested = POINT.model_copy(update={"miou_percent": 30.0, "ema_miou_percent": 31.0})
    assert epoch_values(tested) == {"test/miou_percent": 30.0, "test/ema_miou_percent": 31.0}
