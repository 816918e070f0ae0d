"""Weights to be tested: those of a finished training run, of a file, of timm, or of the Hub."""

import hashlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import timm
from safetensors import SafetensorError
from timm.models import get_pretrained_cfg, load_model_config_from_hf
from torch import nn

from swatbench.backbones import AVERAGE, WEIGHTS
from swatbench.cell.model import builder
from swatbench.errors import CheckpointError, MachineError, ModelError
from swatbench.job import Job
from swatbench.models.factory import reason
from swatbench.models.weights import fit_weights, read_weights, require_finite
from swatbench.spec.catalog import find_model, parts_of, suggest
from swatbench.spec.cells import ELSEWHERE, EvaluateCell, Machine, NamedWeights
from swatbench.spec.expand import named_cells
from swatbench.spec.suite import ProfileSuite, Suite
from swatbench.store.files import RECORD, read_record

FILES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
"""Endings by which a file of weights is told from a name."""
INTERPOLATIONS = ("bilinear", "bicubic")
HUB = ("hf-hub:", "hf_hub:")

# What timm, torch, safetensors and the Hub's client raise where weights are missing or of another model.
UNUSABLE = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    SafetensorError,
    pickle.UnpicklingError,
)


def find_weights(weights: str, model: str | None) -> NamedWeights:
    """Find out what a user named.

    Args:
        weights: A file, timm's name with its tag, or a Hub id after `hf-hub:`.
        model: Name of the catalogue's model that a file's weights are of; None where its record says so.

    Raises:
        CheckpointError: There is no such file.
        ModelError: It is not known which model the weights are of, or there is no such model.
        MachineError: The Hub cannot be reached.
    """
    if weights.endswith(FILES) or _exists(weights):
        return _of_file(Path(weights), model)
    return _of_hub(weights) if weights.startswith(HUB) else _of_timm(weights)


def usable_weights(
    suite: Suite | ProfileSuite, machine: Machine, weights: str, model: str | None
) -> NamedWeights:
    """Find out what a user named, and see before anything is tested that a file fits its model.

    Args:
        suite: What they are tested on.
        machine: What the machine decided.
        weights: As `find_weights` takes it.
        model: Likewise.

    Raises:
        CheckpointError: There is no such file, or it cannot be used.
        ModelError: It is not known which model the weights are of, or there is no such model.
        MachineError: The Hub cannot be reached.
    """
    named = find_weights(weights, model)
    if isinstance(suite, Suite) and named.arm != ELSEWHERE:
        cell, *_ = named_cells(suite, machine, named)
        _built(cell, Path(weights), machine.num_classes)
    return named


def require_readable(suite: Suite | ProfileSuite) -> None:
    """Refuse files that a suite's backbones are to begin with and that hold no weights, before any training.

    Whether they are of the right model is seen when that is built; what is missing is told by the agenda.

    Raises:
        CheckpointError: One of them cannot be read.
    """
    if isinstance(suite, Suite) and suite.backbone is not None:
        paths = {Path(name).expanduser() for name in (suite.backbone.files or {}).values()}
        for path in sorted(path for path in paths if path.is_file()):
            read_weights(path)


def weights_of(
    job: Job,
    cell: EvaluateCell,
    *,
    num_classes: int,
    on_note: Callable[[str], object] = lambda note: None,  # noqa: ARG005
) -> Iterator[tuple[Literal["raw", "ema"], nn.Module]]:
    """Build the model of a cell with each kind of weights that there is, the moving average first.

    Args:
        job: Says where the weights are.
        cell: The cell.
        num_classes: Classes of the data.
        on_note: Told of numbers that were converted.

    Raises:
        CheckpointError: The weights are missing, damaged or of another model.
        ModelError: The model has other classes than the data.
        MachineError: timm cannot fetch the weights.
    """
    assert job.weights is not None
    if cell.arm == ELSEWHERE:
        yield "raw", _fetched(job.weights, num_classes)
        return
    source = Path(job.weights)
    if source.is_file() and _sha256(source) != cell.weights:
        raise CheckpointError(
            "The weights changed while the suite was running.", where=str(source), fix="Run it again."
        )
    files = {"ema": source / AVERAGE, "raw": source / WEIGHTS} if source.is_dir() else {"raw": source}
    for kind, file in files.items():
        if kind == "raw" or file.exists():
            yield "ema" if kind == "ema" else "raw", _built(cell, file, num_classes, on_note)


def _built(
    cell: EvaluateCell,
    file: Path,
    num_classes: int,
    on_note: Callable[[str], object] = lambda note: None,  # noqa: ARG005
) -> nn.Module:
    state = read_weights(file)
    model = builder(cell, num_classes=num_classes, seed=0)()
    of = f"{cell.arm} {cell.pair['name']} with {num_classes} classes"
    fit_weights(model, state, where=str(file), of=of, on_note=on_note)
    return model


def _fetched(name: str, num_classes: int) -> nn.Module:
    try:
        model: nn.Module = timm.create_model(name, pretrained=True)
    except UNUSABLE as error:
        raise MachineError(
            f"timm cannot fetch the weights of {name!r}: {reason(error)}.",
            fix="Fetch them where there is a network, and name the file, with --model.",
        ) from error
    has = int(getattr(model, "num_classes", 0))
    if has != num_classes:
        raise ModelError(f"{name} tells {has} classes apart, but the data have {num_classes}.")
    require_finite(model.state_dict(), where=name)
    return model


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # No file can have such a name.
        return False


def _of_file(path: Path, model: str | None) -> NamedWeights:
    identity = _sha256(path)
    if model is not None:
        pair, arm = find_model(model)
        row, parts, seed = pair.as_dict(), parts_of(pair, arm), None
    else:
        row, arm, parts, seed = _beside(path)
    return NamedWeights(pair=row, arm=arm, parts=parts, seed=seed, identity=identity, preparation={})


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        why = error.strerror or str(error)
        raise CheckpointError(f"The weights cannot be read: {why}.", where=str(path)) from error


def _beside(path: Path) -> tuple[dict[str, Any], str, tuple[str, ...], int | None]:
    """Row, arm, parts and seed that the record beside a file of weights states."""
    record = path.with_name(RECORD)
    if not record.exists():
        fix = "Name it: --model swat_deit_ti, say."
        raise ModelError("Nothing beside the file says which model it is of.", where=str(path), fix=fix)
    cell = read_record(record).cell
    return cell["pair"], cell["arm"], tuple(cell["parts"]), cell["seed"]


def _of_timm(name: str) -> NamedWeights:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = dict.fromkeys(timm.list_models())
        raise ModelError(
            f"There is no file {name!r}, and timm has no such model.",
            fix=suggest(architecture, known, far="`timm.list_models()` lists those it has."),
        )
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{architecture}.*")]
    # Of a tag that it does not know, timm gives no configuration, but raises.
    config = get_pretrained_cfg(name) if tag in tags else None
    if not tag or config is None:
        has = f"Its tags: {', '.join(tags)}." if tags else "It has none."
        raise ModelError(f"{name!r} names no weights: timm needs one of the model's tags too.", fix=has)
    return _named(name, config.to_dict())


def _of_hub(name: str) -> NamedWeights:
    try:
        config, _, _ = load_model_config_from_hf(name.partition(":")[2])
    except UNUSABLE as error:
        raise MachineError(
            f"The Hub gives no model {name!r}: {reason(error)}.",
            fix="Look at the id and at the network; or fetch the weights elsewhere and name the file.",
        ) from error
    return _named(name, config)


def _named(name: str, config: dict[str, Any]) -> NamedWeights:
    try:
        *_, height, size = config.get("test_input_size") or config["input_size"]
        preparation = {
            "mean": tuple(config["mean"]),
            "std": tuple(config["std"]),
            "crop_fraction": float(config.get("test_crop_pct") or config["crop_pct"]),
            "interpolation": config["interpolation"],
        }
    except (LookupError, TypeError, ValueError) as error:
        why = f"The configuration of {name!r} does not say how its images are prepared"
        raise ModelError(f"{why}: {reason(error)} is missing or wrong.") from error
    mode = config.get("crop_mode") or "center"
    if height != size or mode != "center" or preparation["interpolation"] not in INTERPOLATIONS:
        raise ModelError(
            f"{name} was trained for images of {height} × {size} pixels, cropped by {mode!r} and resized by "
            f"{preparation['interpolation']!r}.",
            fix="Here images are square, cropped at the centre, and resized by bilinear or bicubic.",
        )
    row = {"name": name, "img_size": size}
    return NamedWeights(pair=row, arm=ELSEWHERE, parts=(), seed=None, identity=name, preparation=preparation)
