import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from swatbench.errors import StoreError
from swatbench.store.atomic import write_bytes_atomic


def refuse(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


def test_it_makes_folders_and_returns_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    assert write_bytes_atomic(path, b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert path.read_bytes() == b"abc"
    assert [one.name for one in path.parent.iterdir()] == ["file.bin"]


def test_a_crash_before_the_last_step_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.bin"
    write_bytes_atomic(path, b"old")
    monkeypatch.setattr(os, "replace", lambda *_: refuse(errno.EIO))
    with pytest.raises(StoreError, match=r"file\.bin: The file cannot be written: Input/output error"):
        write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["file.bin"]


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes_atomic(tmp_path / "file.bin", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    write_bytes_atomic(path, b"old")
    program = (
        "import os, sys, pathlib\n"
        "from swatbench.store.atomic import write_bytes_atomic\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "write_bytes_atomic(pathlib.Path(sys.argv[1]), b'new' * 1000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"


def test_the_bytes_reach_the_disk_before_the_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_bytes_atomic(tmp_path / "file.bin", b"new")
    assert steps == ["file", "replace", "folder"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some of your quota"),
        (errno.EROFS, "choose another results folder"),
        (errno.EACCES, "change its permissions"),
    ],
)
def test_a_refusal_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    path = tmp_path / "file.bin"
    write_bytes_atomic(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: refuse(number))
    with pytest.raises(StoreError) as caught:
        write_bytes_atomic(path, b"new")
    assert caught.value.where == str(path)
    assert os.strerror(number) in caught.value.what
    assert advice in str(caught.value.fix)
    assert path.read_bytes() == b"old"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("x")
    with pytest.raises(StoreError, match="A file lies where a folder is needed"):
        write_bytes_atomic(tmp_path / "results" / "small" / "record.json", b"")
    (tmp_path / "record.json").mkdir()
    with pytest.raises(StoreError, match="A folder lies where a file is needed"):
        write_bytes_atomic(tmp_path / "record.json", b"")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["record.json", "results"]


def test_a_network_file_system_that_cannot_sync_folders_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            refuse(errno.EINVAL)

    monkeypatch.setattr(os, "fsync", only_files)
    write_bytes_atomic(tmp_path / "file.bin", b"new")
    assert (tmp_path / "file.bin").read_bytes() == b"new"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes_atomic(tmp_path / "file.bin", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.bin").stat().st_mode) == 0o640
