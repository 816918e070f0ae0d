"""The suite that is killed: every kind of cell, images decoded by a worker, a checkpoint at every report."""

import json
import os
import re
import shutil
from pathlib import Path

from swatbench.store.files import CURVE, Listing, Stored, read_suite
from tests.data.jpegs import make_jpeg_folder

NAME = "small"
TRAIN, TEST, CLASSES = 24, 9, 3
SUITE = {
    "name": NAME,
    "pairs": ["mixer_mini"],
    "arms": ["baseline", "swat"],
    "seeds": [0],
    "data": {
        "source": "folder",
        "root": "images",
        "train_images": TRAIN,
        "test_images": TEST,
        "num_classes": CLASSES,
        "further_tests": [{"name": "v2", "root": "v2", "images": TEST}],
    },
    "recipe": {
        "epochs": 6,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "drop_path_rate": 0.1,
        "ema": {"decay": 0.9},
        "augmentation": {"crop": "resized"},
    },
    "execution": {
        "device": "cpu",
        "precision": "fp32",
        "workers": 1,
        "checkpoints": {"every_s": 0.01, "keep_every_epochs": 4},
    },
    "cost": {
        "batch_size": 2,
        "max_rounds": 6,
        "budget_s": 1,
        "threads": 1,
        "training": False,
        "breakdown": False,
    },
}
CELLS = 5
WEIGHTS = ("weights.safetensors", "weights-ema.safetensors")
UNTIMED = re.compile(r"(_s|started_at|resumed)$")
"""Fields that tell when and how long, not what."""


def write_suite(folder: Path) -> Path:
    """Write the suite and its images to a folder, and return the folder."""
    make_jpeg_folder(folder / "images", classes=CLASSES, train=TRAIN, test=TEST)
    shutil.copytree(folder / "images" / "validation", folder / "v2")
    (folder / "suite.yaml").write_text(json.dumps(SUITE))
    return folder


def listing(results: Path) -> Listing:
    """The suite's cells with their files' digests checked; none where nothing is written yet."""
    if not (results / NAME).is_dir():
        return Listing(finished=(), failed=(), damaged=())
    return read_suite(results, NAME)


def is_finished(results: Path) -> bool:
    """Whether every cell has its result."""
    return len(listing(results).finished) == CELLS


def left_over(results: Path) -> list[str]:
    """Files in cells' folders that a finished run has no use for."""
    files = [path for path in results.rglob("*") if path.parent.name not in ("tensorboard", NAME)]
    unwanted = re.compile(r"\..*\.tmp|(newest|previous|incoming)\.ckpt")
    return [str(path.relative_to(results)) for path in files if unwanted.fullmatch(path.name)]


def differences(alone: Path, killed: Path) -> list[str]:
    """What of the trained and tested cells differs between two results, times left out."""
    ours, theirs = ({one.folder.name: one for one in listing(root).finished} for root in (alone, killed))
    if ours.keys() != theirs.keys():
        return [f"other cells: {sorted(ours.keys() ^ theirs.keys())}"]
    return [f"{name}: {what}" for name in ours for what in _unequal(ours[name], theirs[name])]


def _unequal(one: Stored, other: Stored) -> list[str]:
    if one.record.cost is not None:
        return []  # Costs are times.
    facts = [_untimed(cell.record.model_dump()) for cell in (one, other)]
    found = [name for name in facts[0] if facts[0][name] != facts[1][name]]
    if CURVE in one.record.files:
        curves = [[_untimed(point.model_dump()) for point in cell.curve()] for cell in (one, other)]
        found += ["curve"] if curves[0] != curves[1] else []
    names = [name for name in (*WEIGHTS, *one.record.files) if name != CURVE]
    for name in names:
        contents = [_content(cell.folder / name) for cell in (one, other)]
        found += [name] if contents[0] != contents[1] else []
    return found


def _untimed(value: object) -> object:
    """A value without its fields of time, and without the digest of the file that holds some."""
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if not UNTIMED.search(name) and name != CURVE}
        return {name: _untimed(item) for name, item in kept.items()}
    return value


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def seen(folder: Path, name: re.Pattern[str]) -> set[tuple[str, int]]:
    """Files below results and reports whose names fit, each with the moment of its last change."""
    found = set()
    stack = [folder / "results", folder / "reports"]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir():
                        stack.append(Path(entry.path))
                    elif name.fullmatch(entry.name):
                        found.add((entry.path, entry.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return found
