"""Files of weights cut short and changed at random: each is used whole or refused, and nothing in it runs.

    python -m tests.faults.weights --files 2000 --seed 1

A changed number is a number: what is used though its bytes were changed is counted by its format. Formats
without a checksum cannot tell; checkpoints of a run can, and so can a cell that names weights by SHA-256.
"""

import argparse
import contextlib
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import nn

from swatbench.data.plain_pickle import load_plain
from swatbench.errors import CheckpointError, StoreError, SwatbenchError
from swatbench.models.build import build_model
from swatbench.models.weights import fit_weights, read_weights
from swatbench.spec.catalog import PAIRS
from swatbench.store.arrays import packed, read_arrays
from swatbench.train.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tests.faults.images import mutant
from tests.faults.outcome import write_outcome
from tests.faults.weight_files import FILES, legacy, torch_file

SLOW_S = 5.0
"""Processor time above which a file counts as one that holds up a run."""
REFUSALS = (CheckpointError, StoreError, ValueError)
"""What a damaged file may end in; `ValueError` of `load_plain` alone."""


def small_model() -> nn.Module:
    """A model of the catalogue, of a few hundred kilobytes."""
    pair = PAIRS["mixer_mini"].as_dict()
    return build_model(pair, (), num_classes=3, seed=0, fused_attention=False)


def checkpoint_of(model: nn.Module) -> Checkpoint:
    """A checkpoint of a run that has just begun."""
    return Checkpoint(
        digest="a" * 64,
        resumed=0,
        curve=(),
        step=1,
        losses=(1.0,),
        compute_s=0.0,
        data_s=0.0,
        model=model.state_dict(),
        optimizer={},
        ema=None,
        scaler=None,
    )


def read_mutants(files: int, folder: Path, *, seed: int) -> dict[str, Any]:
    """Read so many changed files of every form, and count how it ended."""
    rng = np.random.default_rng(seed)
    model = small_model()
    whole = _whole_files(model, folder)
    counts: Counter[str] = Counter(used=0, refused=0, escaped=0, slow=0, told_in_more_than_a_line=0)
    slowest_s, escapes = 0.0, Counter()
    for number in range(files):
        name = [*whole][number % len(whole)]
        content, read = whole[name]
        path = folder / name
        path.write_bytes(mutant(content, rng))
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
            counts["used"] += 1
            counts[f"used_{path.suffix.removeprefix('.')}"] += 1
        except REFUSALS as error:
            counts["refused"] += 1
            counts["told_in_more_than_a_line"] += isinstance(error, SwatbenchError) and "\n" in str(error)
        except Exception as error:  # noqa: BLE001 (what is looked for)
            counts["escaped"] += 1
            escapes[f"{name}: {error!r}"[:200]] += 1
        took_s = time.process_time() - start
        slowest_s = max(slowest_s, took_s)
        counts["slow"] += took_s > SLOW_S
    for escape, times in escapes.items():
        print(times, escape)
    return {"files": files, "seed": seed, **counts, "slowest_s": round(slowest_s, 3)}


def _whole_files(model: nn.Module, folder: Path) -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """Name of a file → its bytes, and what reads such a file."""
    state = model.state_dict()
    checkpoint = folder / "last.ckpt"
    write_checkpoint(checkpoint, checkpoint_of(model))
    arrays = {"predicted": np.arange(50), "margin": np.linspace(0, 1, 50)}
    fit = partial(_fit, model)
    return {
        "weights.safetensors": (save(state), fit),
        "weights.pt": (torch_file(state), fit),
        "weights.pth": (legacy(state), fit),
        "last.ckpt": (checkpoint.read_bytes(), read_checkpoint),
        "predictions.npz": (packed(arrays), read_arrays),
        "batch.cifar": (_batch(), lambda path: load_plain(path.read_bytes())),
    }


def _fit(model: nn.Module, path: Path) -> None:
    fit_weights(model, read_weights(path), where=str(path), of="mixer_mini")


def _batch() -> bytes:
    import pickle

    return pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}, protocol=2)


def main() -> None:
    """Read many, and keep the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/reliability/weights.json"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = read_mutants(asked.files, Path(folder), seed=asked.seed)
        found |= hostile(Path(folder))
    write_outcome(asked.out, found, packages=("torch", "safetensors", "timm", "numpy"))


def hostile(folder: Path) -> Mapping[str, int]:
    """Read every hostile file; none may be used, and none may run anything."""
    model, refused = small_model(), 0
    for number, (ending, make, _) in enumerate(FILES.values()):
        path = folder / f"hostile{number}{ending}"
        path.write_bytes(make(model.state_dict(), folder / "executed"))
        with contextlib.suppress(CheckpointError):
            _fit(model, path)
            continue
        refused += 1
    return {
        "hostile": len(FILES),
        "hostile_refused": refused,
        "executed": int((folder / "executed").exists()),
    }


if __name__ == "__main__":
    main()
