import json
from pathlib import Path

import pytest

from swatbench.errors import DataError, TrainingError
from swatbench.store.atomic import write_bytes_atomic
from swatbench.store.failure import failure, without_folders


def test_a_users_error_keeps_its_parts() -> None:
    found = failure(TrainingError("Loss is not finite.", where="epoch 3", fix="Lower the learning rate."))
    assert found.error == "TrainingError"
    assert found.message == "Loss is not finite. Lower the learning rate."
    assert found.where == "epoch 3"


def test_another_error_names_the_innermost_line_of_swatbench(tmp_path: Path) -> None:
    with pytest.raises(TypeError) as caught:
        write_bytes_atomic(tmp_path / "x", 3)  # pyright: ignore[reportArgumentType]
    found = failure(caught.value)
    assert found.error == "TypeError"
    assert found.where is not None
    assert found.where.startswith("swatbench/store/atomic.py:")
    assert found.where.endswith(" in write_bytes_atomic")


def test_an_error_from_elsewhere_has_no_place() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    assert failure(caught.value).where is None
    assert failure(RuntimeError()).message == ""


def test_no_folder_is_kept() -> None:
    error = DataError("Nothing in /home/wilhelmina/my data/cifar.", where="/srv/lab/x.yaml:3: data.root")
    found = failure(error)
    assert "wilhelmina" not in found.message
    assert found.where == "…/x.yaml:3: data.root"
    missing = FileNotFoundError(2, "No such file", "/home/wilhelmina/data/test_batch")
    assert failure(missing).message == "[Errno 2] No such file: '…/test_batch'"


@pytest.mark.parametrize(
    "text",
    [
        "see https://docs.example.org/a/b/c",
        "1.5 images/s and 3 MACs/s/W",
        "b (H h) (W w) c -> b (H W) (c h w)",
        "data/cifar/batches.meta is missing",
        "./data/cifar",
        "~/data/cifar",
        "half / whole",
    ],
)
def test_other_slashes_are_left_alone(text: str) -> None:
    assert without_folders(text) == text


def test_an_endless_message_is_cut() -> None:
    assert len(failure(RuntimeError("x" * 100_000)).message) == 4_000
