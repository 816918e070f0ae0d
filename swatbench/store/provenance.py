"""Where and with what code a cell runs: hardware, versions, state of the source tree; no names, no paths."""

import math
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from swatbench.store.record import Environment

PACKAGES = (
    "einops",
    "fvcore",
    "numpy",
    "pandas",
    "pillow",
    "scipy",
    "segmentation-models-pytorch",
    "statsmodels",
    "timm",
    "torch",
    "torchvision",
    "triton",
)
"""Packages that can move a number."""

_PACKAGE = Path(__file__).parents[1]
_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")
_GIT_TIMEOUT_S = 10.0
_NOISE = re.compile(r"\((?:R|TM|C)\)|@.*|\b\d+-Core\b|\bwith .*|\b(?:CPU|Processor)\b", re.IGNORECASE)
"""What makers write beside a processor's name."""


def environment(accelerator: str | None = None) -> Environment:
    """Describe this machine and this code.

    Args:
        accelerator: Name of the CUDA device in use, or None; asked of the caller, since this module does
            without torch.
    """
    processor, cores = processor_name(), usable_cores()
    commit, dirty = git_state(_PACKAGE)
    return Environment(
        machine=machine_slug(processor, cores, accelerator),
        processor=processor,
        cores=cores,
        memory_bytes=psutil.virtual_memory().total,
        accelerator=accelerator,
        system=_system(),
        python=platform.python_version(),
        packages=package_versions(PACKAGES),
        git_commit=commit,
        git_dirty=dirty,
        swatbench=package_versions(("swatbench",)).get("swatbench", "unknown"),
    )


def machine_slug(processor: str, cores: int, accelerator: str | None = None) -> str:
    """Name of a machine's folder: what it computes with, not what it is called.

    Args:
        processor: Name of the processor.
        cores: Cores that this process may use; they tell a small slice of a machine from a large one.
        accelerator: Name of the CUDA device, which then stands alone.

    >>> machine_slug("AMD EPYC 7B13 64-Core Processor", 2)
    'amd-epyc-7b13-2-cores'
    >>> machine_slug("Intel(R) Xeon(R) CPU @ 2.20GHz", 1)
    'intel-xeon-1-core'
    >>> machine_slug("AMD EPYC", 2, "NVIDIA H200")
    'nvidia-h200'
    """
    if accelerator is not None:
        return _slug(accelerator) or "accelerator"
    name = _NOISE.sub(" ", processor)
    return f"{_slug(name) or 'processor'}-{cores}-core{'' if cores == 1 else 's'}"


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """Name of the processor; its architecture where the system tells no more."""
    return _field(cpuinfo, "model name|Model|Hardware") or platform.machine() or "unknown"


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Cores that this process may use: its affinity, or less where a container has a smaller quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those packages that are installed."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state(package: Path) -> tuple[str | None, bool | None]:
    """Commit of the source tree, and whether its code has changes that are not committed.

    Args:
        package: Folder of the package; its parent must be the top of a work tree, so that an installation
            inside somebody else's repository is not taken for swatbench's.

    Returns:
        Commit and dirtiness; None and None outside such a tree or without git.
    """
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != package.parent.resolve():
        return None, None
    commit = _git(package, "rev-parse", "HEAD")
    # Results and reports lie in the same tree and are no part of the code.
    changes = _git(package, "status", "--porcelain", "--", ".", "../pyproject.toml")
    return (None, None) if commit is None or changes is None else (commit, bool(changes))


def _git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    # Inside a git hook these variables point at another repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603  a fixed program with fixed arguments
            [git, "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            check=True,
            encoding="utf-8",
            env=clean,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def _quota(cgroup: Path) -> float | None:
    """Cores that the container's quota allows (cgroup version 2, then 1)."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text()
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None


def _field(path: Path, names: str) -> str | None:
    """The first value of a file of `name: value` lines; None where it has none or cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^(?:{names})[ \t]*:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    return found[1] if found else None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")


def _system() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        name = ""
    # What follows the kernel's number names whoever built it.
    number = re.match(r"[\d.]*", platform.release())
    kernel = f"{platform.system()} {number[0] if number else ''}".strip()
    return f"{kernel} ({name})" if name else kernel
