"""What a run shows: one plain line for each event, with the time left."""

import io
from types import SimpleNamespace

from rich.console import Console

from swatbench.console import Plain, outcome_words
from swatbench.store.record import Evaluated


def progress(step):
    return SimpleNamespace(epoch=1, epochs=2, step=step, steps=100, loss=2.0, images_per_s=640.0)


def told(cell, clock):
    out = io.StringIO()
    plain = Plain(Console(file=out, width=40), clock=lambda: clock[0])
    plain.begin([cell], 3, SimpleNamespace(machine="some-machine"))
    plain.start(cell.id)
    for second, step in ((5, 10), (12, 20), (13, 21), (30, 60)):
        clock[0] = second
        plain.progress(cell.id, progress(step))
    return out.getvalue().splitlines()


def test_lines_come_every_ten_seconds_and_say_what_is_left(train_cell):
    assert told(train_cell, [0]) == [
        "1 cells to run, 3 finished before, on some-machine",
        "[0/1] deit_mini swat seed 4: started",
        "[0/1] deit_mini swat seed 4: epoch 1/2, loss 2.00, 640 images/s, 56 s left",
        "[0/1] deit_mini swat seed 4: epoch 1/2, loss 2.00, 640 images/s, 20 s left",
    ]


def test_a_cell_ends_with_its_accuracy_or_with_its_mean_iou():
    shared = {"weights": "raw", "images": 8, "file": "predictions.npz"}
    classes = Evaluated(correct=6, top1_percent=75.0, **shared)
    masks = Evaluated(inference="single_scale", miou_percent=44.51, **shared)
    ended = {"failure": None, "train": None, "duration_s": 12.3}
    for one, words in ((classes, "top-1 75.0 % in 12 s"), (masks, "mIoU 44.5 % in 12 s")):
        tested = SimpleNamespace(**ended, evaluation=SimpleNamespace(evaluated=(one,)))
        assert outcome_words(tested) == words
        assert outcome_words(SimpleNamespace(**(ended | {"train": one}))) == words
