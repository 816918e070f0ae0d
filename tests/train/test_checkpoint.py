import errno
import hashlib
import os
import resource
import tracemalloc

import numpy as np
import pytest
import torch

from swatbench.errors import CheckpointError, StoreError
from swatbench.store.record import CurvePoint
from swatbench.train.checkpoint import (
    Checkpoint,
    DamagedCheckpointError,
    read_checkpoint,
    require_digest,
    write_checkpoint,
)

POINT = CurvePoint(
    epoch=1, step=6, loss=2.25, learning_rate=1e-3, top1_percent=None, compute_s=1.5, data_s=0.25
)


def checkpoint(**changes):
    values = {
        "digest": "a" * 64,
        "resumed": 2,
        "curve": (POINT,),
        "step": 8,
        "losses": (2.5, 2.25),
        "compute_s": 3.5,
        "data_s": 0.5,
        "model": {"weight": torch.arange(6.0).reshape(2, 3)},
        "optimizer": {"state": {0: {"step": torch.tensor(6.0)}}, "param_groups": [{"betas": (0.9, 0.98)}]},
        "ema": {"weight": torch.zeros(2, 3)},
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
    }
    return Checkpoint(**(values | changes))


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "new" / "last.ckpt"
    write_checkpoint(path, checkpoint())
    found = read_checkpoint(path)
    assert (found.digest, found.resumed, found.curve) == ("a" * 64, 2, (POINT,))
    assert found.model["weight"].equal(torch.arange(6.0).reshape(2, 3))
    assert found.optimizer["param_groups"][0]["betas"] == (0.9, 0.98)
    assert (found.step, found.losses, found.compute_s, found.data_s) == (8, (2.5, 2.25), 3.5, 0.5)
    assert found.ema["weight"].equal(torch.zeros(2, 3))
    assert found.scaler == {"scale": 65536.0, "_growth_tracker": 3}
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_run_without_average_and_scaler_has_none_of_them(tmp_path):
    write_checkpoint(tmp_path / "last.ckpt", checkpoint(ema=None, scaler=None))
    found = read_checkpoint(tmp_path / "last.ckpt")
    assert (found.ema, found.scaler) == (None, None)


def test_the_first_line_is_the_digest_of_the_rest(tmp_path):
    write_checkpoint(tmp_path / "last.ckpt", checkpoint())
    content = (tmp_path / "last.ckpt").read_bytes()
    assert content == signed(content[65:])


def test_no_second_copy_of_the_state_is_held_in_memory(tmp_path):
    state = checkpoint(model={str(i): torch.rand(1 << 18) for i in range(16)})
    tracemalloc.start()
    try:
        write_checkpoint(tmp_path / "last.ckpt", state)
        _, written_peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        found = read_checkpoint(tmp_path / "last.ckpt")
        _, read_peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.model["15"].equal(state.model["15"])
    # The state is 16 tensors of 1 MiB.
    assert written_peak_bytes < 4 << 20
    assert read_peak_bytes < 4 << 20


def test_no_file_is_no_checkpoint(tmp_path):
    assert read_checkpoint(tmp_path / "none.ckpt") is None


def test_every_damage_is_noticed(tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, checkpoint())
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in [0, 1, 63, 64, 65, 66, len(whole) - 1, *rng.integers(0, len(whole), 40)]:
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        for content in (whole[:place], bytes(changed), whole + b"x"):
            path.write_bytes(content)
            with pytest.raises(DamagedCheckpointError) as caught:
                read_checkpoint(path)
            assert caught.value.where == str(path)
    path.write_bytes(whole)
    assert read_checkpoint(path).digest == "a" * 64


def signed(payload):
    return hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def test_a_whole_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"curve": []}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    contents = [b"", b"junk", (tmp_path / "other.pt").read_bytes(), (tmp_path / "list.pt").read_bytes()]
    for content in contents:
        path.write_bytes(signed(content))
        with pytest.raises(
            CheckpointError, match=r"is whole, but another version .* Go on with that version, or"
        ) as caught:
            read_checkpoint(path)
        assert not isinstance(caught.value, DamagedCheckpointError)


def test_a_file_of_the_former_layout_is_refused(tmp_path):
    former = {"digest": "a" * 64, "resumed": 0, "curve": [], "model": {}, "optimizer": {}}
    torch.save(former, tmp_path / "former.pt")
    (tmp_path / "last.ckpt").write_bytes(signed((tmp_path / "former.pt").read_bytes()))
    with pytest.raises(CheckpointError, match="another version"):
        read_checkpoint(tmp_path / "last.ckpt")


def test_nothing_in_a_checkpoint_is_called(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    path = tmp_path / "last.ckpt"
    torch.save({"model": Harmful()}, tmp_path / "harm.pt")
    path.write_bytes(signed((tmp_path / "harm.pt").read_bytes()))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not (tmp_path / "called").exists()


def test_a_folder_in_its_place_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match=r"The file cannot be read: Is a directory\. A folder lies where"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_file_that_cannot_be_opened_is_a_store_error(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    write_checkpoint(tmp_path / "last.ckpt", checkpoint())
    monkeypatch.setattr("swatbench.train.checkpoint._Remembering", refuse)
    with pytest.raises(StoreError, match=f"The file cannot be read: {os.strerror(number)}") as caught:
        read_checkpoint(tmp_path / "last.ckpt")
    assert caught.value.where == str(tmp_path / "last.ckpt")


@pytest.mark.parametrize("call", ["hashlib.file_digest", "torch.load"])
def test_a_disk_that_fails_while_a_file_is_read_is_a_store_error(tmp_path, monkeypatch, call):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, checkpoint(model={str(i): torch.rand(10_000) for i in range(9)}))
    real = {"torch.load": torch.load, "hashlib.file_digest": hashlib.file_digest}[call]

    def failing(file, *values, **options):
        file.peek()
        unreadable = os.open(path, os.O_WRONLY)
        os.lseek(unreadable, os.lseek(file.fileno(), 0, os.SEEK_CUR), os.SEEK_SET)
        os.dup2(unreadable, file.fileno())
        os.close(unreadable)
        try:
            return real(file, *values, **options)
        except OSError as error:
            # As torch does, depending on which read it is.
            raise ValueError("read of closed file") from error

    monkeypatch.setattr(call, failing)
    with pytest.raises(StoreError, match="The file cannot be read: "):
        read_checkpoint(path)
    monkeypatch.undo()
    assert len(read_checkpoint(path).model) == 9


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["python", "cuda", "cpu"],
)
def test_memory_that_runs_out_is_no_fault_of_the_file(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    write_checkpoint(tmp_path / "last.ckpt", checkpoint())
    monkeypatch.setattr("torch.load", fail)
    with pytest.raises(type(error)) as caught:
        read_checkpoint(tmp_path / "last.ckpt")
    assert caught.value is error


def test_a_checkpoint_of_another_cell_is_refused(tmp_path):
    require_digest(checkpoint(), "a" * 64, path=tmp_path)
    with pytest.raises(CheckpointError, match="belongs to cell aaaaaaaaaa, not to bbbbbbbbbb"):
        require_digest(checkpoint(), "b" * 64, path=tmp_path)


def test_a_write_that_fails_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, checkpoint())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_checkpoint(path, checkpoint(resumed=3))
    assert read_checkpoint(path).resumed == 2
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("limit_bytes", [10, 70, 2000, 100_000, 361_000])
def test_a_file_that_the_system_cuts_off_is_a_store_error(tmp_path, limit_bytes):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, checkpoint())
    large = checkpoint(model={str(i): torch.rand(10_000) for i in range(9)}, resumed=3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        with pytest.raises(StoreError, match="The file cannot be written: File too large"):
            write_checkpoint(path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_checkpoint(path).resumed == 2
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    write_checkpoint(path, large)
    assert read_checkpoint(path).resumed == 3
