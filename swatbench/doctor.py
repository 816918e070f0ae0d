"""What this machine has, and what to do where something is missing or does not fit."""

import importlib
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from swatbench.errors import MachineError
from swatbench.processes import ProcessDiedError, Say, ask, context
from swatbench.spec.suite import Suite
from swatbench.store.provenance import package_versions, processor_name, usable_cores

if TYPE_CHECKING:
    from swatbench.data.survey import Survey
    from swatbench.data_speed import DataSpeed

PRELOAD = "swatbench.data_speed"
"""Imported once by the server that the measuring process is forked off; it brings torch and timm."""
NAMED_IMAGES = 20
"""Images that a finding names before it says how many more there are."""
ENOUGH_DISK_BYTES = 2 * 2**30
"""Free disk below which a suite may fail in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        found: What was found.
        fix: What to do about it; None where nothing is wrong.
    """

    name: str
    found: str
    fix: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The finding as JSON values."""
        return asdict(self)


def examine(folder: Path) -> tuple[Finding, ...]:
    """Look at everything that a suite needs.

    Args:
        folder: Where results would be written.
    """
    hardware = Finding(name="processor", found=f"{processor_name()}, {usable_cores()} usable cores")
    imports = (_import("torch"), _import("torchvision"), _import("timm"), _import("fvcore.nn"))
    whole = all(found.fix is None for found in imports)
    torch_findings = (_cuda(), _bf16(), _fused_attention(), _threads(), _compiler()) if whole else ()
    return (hardware, *imports, *torch_findings, _shards(), _tensorboard(), _disk(folder))


def examine_data(
    suite: Suite,
    *,
    seconds: float = 10.0,
    on_stage: Callable[[str], None] = lambda stage: None,  # noqa: ARG005
) -> tuple[Finding, ...]:
    """Look at whether a suite's images come as fast as its models are trained, in a process of its own.

    Args:
        suite: The suite.
        seconds: Length of each measurement (see `data_speed.measure_data_speed`).
        on_stage: Told what begins, in a few words.

    Returns:
        One finding for each pair.

    Raises:
        DataError: The dataset is missing, incomplete or damaged.
        MachineError: The device that the suite asks for is not here, or memory ran out.
        ModelError: A model cannot do what the suite asks for.
        SuiteError: An optimizer or an augmentation is unknown.
    """
    try:
        asked = partial(_in_process_examine_data, suite, seconds)
        return ask(asked, start=context(PRELOAD), on_message=on_stage)
    except ProcessDiedError as error:
        fix = "If memory ran out, lower recipe.micro_batch_size or execution.workers."
        raise MachineError(f"The process that loads and trains {error}.", fix=fix) from error


def _in_process_examine_data(suite: Suite, seconds: float, say: Say) -> tuple[Finding, ...]:
    from swatbench.data_speed import measure_data_speed

    return tuple(map(_data_speed, measure_data_speed(suite, seconds=seconds, on_stage=say)))


def _data_speed(measured: "DataSpeed") -> Finding:
    found = (
        f"{measured.loading_images_per_s:,.0f} images/s are loaded ({measured.workers} workers), "
        f"{measured.training_images_per_s:,.0f} images/s trained ({measured.arm}): {measured.verdict}"
    )
    fix = "Set more execution.workers, data.keep_decoded: true, or store smaller images."
    return Finding(name=measured.pair, found=found, fix=fix if measured.ratio < 1 else None)


def examine_images(
    suite: Suite,
    *,
    on_stage: Callable[[str], None] = lambda stage: None,  # noqa: ARG005
) -> tuple[Finding, ...]:
    """Decode every image of a suite once, in a process of its own, and name those that cannot be used.

    Args:
        suite: The suite.
        on_stage: Told what begins, in a few words.

    Returns:
        One finding for each split and each further test set.

    Raises:
        DataError: The dataset is missing or incomplete, so that its images cannot be listed.
        MachineError: The process that decodes died.
    """
    try:
        return ask(partial(_in_process_survey, suite), start=context(PRELOAD), on_message=on_stage)
    except ProcessDiedError as error:
        raise MachineError(
            f"The process that decodes images {error}.", fix="See whether memory ran out."
        ) from error


def _in_process_survey(suite: Suite, say: Say) -> tuple[Finding, ...]:
    from swatbench.data.surveys import survey_all

    return tuple(map(_surveyed, survey_all(suite.data, on_stage=say)))


def _surveyed(found: "Survey") -> Finding:
    counts = [f"{number} {note}" for note, number in found.notes.items()]
    if not found.refused:
        told = "; ".join([f"all {found.images:,} images can be decoded", *counts])
        return Finding(name=found.name, found=told)
    wrong = "; ".join(str(error.where or error.what) for error in found.refused[:NAMED_IMAGES])
    more = len(found.refused) - NAMED_IMAGES
    told = f"{len(found.refused)} of {found.images:,} images cannot be used: {wrong}"
    return Finding(
        name=found.name,
        found="; ".join([told + (f" and {more} more" if more > 0 else ""), *counts]),
        fix=f"{found.refused[0].what} Get these files again, or convert them.",
    )


def _import(module: str) -> Finding:
    name = module.partition(".")[0]
    version = package_versions((name,)).get(name)
    if version is None:
        return Finding(name=name, found="not installed", fix="pip install -e . installs it.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a package says of its own future is no finding
            importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 (a broken install can raise anything while it is imported)
        return Finding(name=name, found=f"{version}, but importing it fails: {error}", fix=import_fix(error))
    return Finding(name=name, found=version)


def import_fix(error: Exception) -> str:
    """What to do about a package that cannot be imported.

    Example:
        >>> import_fix(RuntimeError("operator torchvision::nms does not exist"))
        'torch and torchvision are of different builds; reinstall both together from one index.'
    """
    if "torchvision::nms" in str(error) or "partially initialized module 'torchvision'" in str(error):
        return "torch and torchvision are of different builds; reinstall both together from one index."
    return "Reinstall it (pip install --force-reinstall), or make a new environment."


def _cuda() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding(name="CUDA", found="none; everything runs on the CPU")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding(name="CUDA", found=f"{torch.version.cuda}: {', '.join(names)}")


def _bf16() -> Finding:
    from swatbench.measure.machine import resolve_device, resolve_precision

    precision = resolve_precision("auto", resolve_device("auto"))
    return Finding(name="precision", found=f"auto is {precision} here")


def _fused_attention() -> Finding:
    from timm.layers.config import use_fused_attn

    state = "on" if use_fused_attn() else "off"
    return Finding(name="fused attention", found=f"{state} in timm; auto is on for CUDA, off for CPU")


def _threads() -> Finding:
    import torch

    set_by = next((name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ), None)
    found = f"{torch.get_num_threads()} by default" + (f", set by {set_by}" if set_by else "")
    return Finding(name="CPU threads", found=found)


def _compiler() -> Finding:
    from swatbench.measure.machine import cpp_compiler

    return Finding(name="C++ compiler", found=cpp_compiler() or "none; torch.compile on the CPU needs one")


def _shards() -> Finding:
    found = {"webdataset": "wds/ (tar shards)", "datasets": "hfds/ (Hugging Face)"}
    versions = package_versions(tuple(found))
    told = (
        f"{name} {versions[name]}" if name in versions else f"{name} not installed, which {source} needs"
        for name, source in found.items()
    )
    missing = "" if len(versions) == len(found) else "; pip install -e '.[data]' installs both"
    return Finding(name="sources", found="; ".join(told) + missing)


def _tensorboard() -> Finding:
    versions = package_versions(("tensorboard", "torch-tb-profiler"))
    missing = [name for name in ("tensorboard", "torch-tb-profiler") if name not in versions]
    if missing:
        fix = "pip install -e . installs it."
        return Finding(name="TensorBoard", found=f"{', '.join(missing)} not installed", fix=fix)
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Finding(name="TensorBoard", found=found)


def _disk(folder: Path, usage: Callable[[Path], object] = shutil.disk_usage) -> Finding:
    free_bytes = usage(folder).free  # type: ignore[attr-defined]
    found = f"{free_bytes / 2**30:.1f} GiB free here"
    if free_bytes < ENOUGH_DISK_BYTES:
        return Finding(name="disk", found=found, fix="Free some space, or use --results on another disk.")
    return Finding(name="disk", found=found)
