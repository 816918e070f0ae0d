import getpass
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swatbench.store import provenance
from swatbench.store.provenance import (
    environment,
    git_state,
    machine_slug,
    package_versions,
    processor_name,
    usable_cores,
)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(folder), *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        command, check=True, capture_output=True, encoding="utf-8", env=clean
    ).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "swatbench").mkdir(parents=True)
    (top / "swatbench" / "a.py").write_text("a = 1\n")
    (top / "pyproject.toml").write_text("")
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    return top


def test_the_environment_describes_this_machine() -> None:
    found = environment()
    assert found.python == platform.python_version()
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.memory_bytes > 2**20
    assert found.packages["torch"].startswith("2.")
    assert re.fullmatch(r"[0-9a-f]{40}", found.git_commit or "0" * 40)
    assert found.machine.endswith(f"-{found.cores}-core{'s' * (found.cores > 1)}")
    assert environment("NVIDIA H200").machine == "nvidia-h200"
    assert environment("NVIDIA H200").accelerator == "NVIDIA H200"


def test_no_host_no_user_and_no_folder_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: "6.1.0-wilhelminas-build")
    text = environment("NVIDIA H200").model_dump_json()
    assert "wilhelmina" not in text
    private = {socket.gethostname(), platform.node(), getpass.getuser(), Path.home().name, Path.cwd().name}
    for name in private - {"", "root", "main"}:
        assert not re.search(rf"\b{re.escape(name)}\b", text), name
    assert not re.search(r'[" (]/', text), "an absolute path"


def test_torch_is_not_imported() -> None:
    program = (
        "import sys\n"
        "import swatbench.store.files, swatbench.store.failure\n"
        "from swatbench.store.provenance import environment\n"
        "import swatbench.spec.load, swatbench.spec.estimate, swatbench.spec.schema, swatbench.spec.cells\n"
        "environment()\n"
        "sys.exit(len({'torch', 'timm', 'torchvision', 'fvcore'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("processor", "cores", "slug"),
    [
        ("AMD EPYC", 2, "amd-epyc-2-cores"),
        ("AMD EPYC 9654 96-Core Processor", 96, "amd-epyc-9654-96-cores"),
        ("Intel(R) Xeon(R) Platinum 8488C", 1, "intel-xeon-platinum-8488c-1-core"),
        ("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", 8, "intel-core-i7-8650u-8-cores"),
        ("AMD Ryzen 7 5800U with Radeon Graphics", 16, "amd-ryzen-7-5800u-16-cores"),
        ("../../etc/passwd", 2, "etc-passwd-2-cores"),
        ("龍芯", 4, "processor-4-cores"),
        ("", 4, "processor-4-cores"),
    ],
)
def test_a_machine_is_named_by_what_it_computes_with(processor: str, cores: int, slug: str) -> None:
    assert machine_slug(processor, cores) == slug


def test_a_slug_is_a_short_folder_name() -> None:
    slug = machine_slug("Very " * 100, 2)
    assert re.fullmatch(r"[a-z0-9-]{1,75}", slug)
    assert machine_slug("x", 2, "///") == "accelerator"
    assert machine_slug("x", 2, "NVIDIA A100-SXM4-80GB") == "nvidia-a100-sxm4-80gb"


def test_the_processor_is_read_from_cpuinfo(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel\t\t: 1\nmodel name\t: Fast Chip 9 \nmodel name\t: Other\n")
    assert processor_name(path) == "Fast Chip 9"
    path.write_text("processor\t: 0\nBogoMIPS\t: 50\nHardware\t:\nModel\t\t: Small Board\n")
    assert processor_name(path) == "Small Board"
    assert processor_name(tmp_path / "none") == platform.machine()


def test_cores_are_those_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores(tmp_path) == 8
    quota = tmp_path / "cpu.max"
    for text, cores in (
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("1000 100000", 1),
        ("9900000 100000", 8),
        ("junk", 8),
    ):
        quota.write_text(text)
        assert usable_cores(tmp_path) == cores
    quota.unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == 3
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cores(tmp_path) == 8


def test_packages_that_are_not_installed_are_left_out() -> None:
    found = package_versions(("numpy", "no-such-package-anywhere"))
    assert list(found) == ["numpy"]


def test_the_commit_and_changes_of_the_source_tree(tree: Path) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    assert git_state(tree / "swatbench") == (commit, False)
    (tree / "results").mkdir()
    (tree / "results" / "record.json").write_text("{}")
    assert git_state(tree / "swatbench") == (commit, False)
    (tree / "swatbench" / "b.py").write_text("b = 1\n")
    assert git_state(tree / "swatbench") == (commit, True)
    (tree / "swatbench" / "b.py").unlink()
    (tree / "pyproject.toml").write_text("x = 1\n")
    assert git_state(tree / "swatbench") == (commit, True)


def test_somebody_elses_repository_is_not_ours(tree: Path) -> None:
    inside = tree / "venv" / "lib" / "site-packages" / "swatbench"
    inside.mkdir(parents=True)
    assert git_state(inside) == (None, None)


def test_a_hook_of_another_repository_does_not_mislead(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert git_state(tree / "swatbench") == (commit, False)


def test_no_commit_no_tree_and_no_git_are_no_errors(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = tmp_path / "fresh"
    (fresh / "swatbench").mkdir(parents=True)
    (fresh / "pyproject.toml").write_text("")
    assert git_state(fresh / "swatbench") == (None, None)
    git(fresh, "init", "-q")
    assert git_state(fresh / "swatbench") == (None, None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert git_state(tree / "swatbench") == (None, None)


def test_a_git_that_hangs_is_given_up(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(slow))
    monkeypatch.setattr(provenance, "_GIT_TIMEOUT_S", 0.2)
    begin = time.monotonic()
    assert git_state(tree / "swatbench") == (None, None)
    assert time.monotonic() - begin < 10
