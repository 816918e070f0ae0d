"""Records as older versions of swatbench laid them out, made of those of today by what there was then."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_RECORD = (
    *("schema_version", "status", "suite", "cell_id", "digest", "cell", "environment", "started_at"),
    *("duration_s", "resumed", "train", "cost", "failure", "files"),
)
_TRAIN = (
    *("params", "test_images", "correct", "top1_percent", "top5_percent", "test_loss", "train_s"),
    *("images_seen", "order_sha256", "augmentation_sha256", "shared_init_sha256", "recipe_sha256"),
)
_COST = (
    *("reference", "arms", "batch_size", "img_size", "device", "dtype", "threads", "memory_kind"),
    *("measured", "timings"),
)
_ARM = (
    *("arm", "params", "macs", "macs_matmul", "macs_torch", "macs_agree", "macs_by_operator"),
    *("inference_s", "training_s", "inference_peak_bytes", "training_peak_bytes"),
)
_TIMING = ("protocol", "calls_per_sample", "settled", "stopped_by")
_TRAIN_CELL = (
    *("kind", "pair", "arm", "parts", "seed", "data", "recipe", "resolution", "threads"),
    *("deterministic", "protocol_version"),
)
_COST_CELL = ("kind", "pair", "arms", "num_classes", "cost", "resolution", "threads", "protocol_version")
_RECIPE = (
    *("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "betas", "warmup_epochs"),
    *("label_smoothing", "drop_path_rate", "clip_grad_norm"),
)
_POINT = ("epoch", "step", "loss", "learning_rate", "top1_percent", "compute_s", "data_s")


def as_layout_1(folder: Path, *, timings: bool = False) -> None:
    """Lay a train or cost cell out as version 1 had it: accuracies of one kind of weights, few counts.

    Args:
        folder: The cell's folder.
        timings: Whether a cost says how it was timed, as it did from some time on.
    """
    record: dict[str, Any] = _of_layout_2(folder)
    record = {**_only(record, _RECORD), "schema_version": 1}
    if record["train"]:
        record["train"] = _only(record["train"], _TRAIN)
        record["cell"] = _only(record["cell"], _TRAIN_CELL)
        record["cell"]["recipe"] = _only(record["cell"]["recipe"], _RECIPE)
        points = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
        lines = "".join(f"{json.dumps(_only(point, _POINT))}\n" for point in points)
        (folder / "curve.jsonl").write_text(lines)
        record["files"]["curve.jsonl"] = hashlib.sha256(lines.encode()).hexdigest()
    if record["cost"] and not timings:
        del record["cost"]["timings"]
    _write(folder, record)


def as_layout_2(folder: Path) -> None:
    """Lay a cell out as version 2 had it: a cost knows the side of a square input and few counts."""
    _write(folder, _of_layout_2(folder) | {"schema_version": 2})


def _of_layout_2(folder: Path) -> dict[str, Any]:
    record = json.loads((folder / "record.json").read_text())
    cost = record["cost"]
    if cost:
        cost["img_size"] = cost["input_size"][1]
        cost["arms"] = [_only(arm, _ARM) for arm in cost["arms"]]
        cost["timings"] = [_only(timing, _TIMING) for timing in cost["timings"]]
        record["cost"] = _only(cost, _COST)
        record["cell"] = _only(record["cell"], _COST_CELL)
    return record


def _only(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _write(folder: Path, record: Mapping[str, Any]) -> None:
    (folder / "record.json").write_text(json.dumps(record, indent=2, sort_keys=True))
