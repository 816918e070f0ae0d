"""Classifiers' weights that a suite's backbones begin with: where they are, and their names (no torch)."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from swatbench.errors import CheckpointError
from swatbench.spec.catalog import PAIRS, model_name
from swatbench.spec.suite import Suite
from swatbench.store.files import Stored, read_suite

WEIGHTS, AVERAGE = "weights.safetensors", "weights-ema.safetensors"
"""The trained weights and their moving average; kept beside the record, but no part of it."""

Model = tuple[str, str, int]
"""Pair, arm and seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneFile:
    """A file of a classifier's weights.

    Attributes:
        path: Where it is.
        sha256: SHA-256 of its bytes in hex, by which a cell names it.
    """

    path: Path
    sha256: str


def backbones_of(suite: Suite, *, results: Path, machine: str) -> Mapping[Model, BackboneFile]:
    """Find the weights of every model of a suite; nothing where the suite begins with fresh ones.

    Of a training run the moving average is taken where there is one, as it is what its accuracy is of.

    Args:
        suite: The suite.
        results: Root of all results.
        machine: Name of this machine's folder.

    Raises:
        CheckpointError: A file is missing or cannot be read, or a training run is not finished.
        StoreError: The suite that has them has no results.
    """
    if suite.backbone is None:
        return {}
    if suite.backbone.files:
        paths = dict(_named(suite, suite.backbone.files))
    else:
        assert suite.backbone.suite is not None
        paths = dict(_trained(suite, suite.backbone.suite, results=results, machine=machine))
    digest = cache(_sha256)
    return {model: BackboneFile(path=path, sha256=digest(path)) for model, path in paths.items()}


def _models(suite: Suite) -> Iterator[Model]:
    for pair in suite.pairs:
        for arm in suite.arms:
            for seed in suite.seeds:
                yield pair, arm, seed


def _named(suite: Suite, files: Mapping[str, str]) -> Iterator[tuple[Model, Path]]:
    for pair, arm, seed in _models(suite):
        yield (pair, arm, seed), Path(files[model_name(PAIRS[pair], arm)]).expanduser()


def _trained(suite: Suite, name: str, *, results: Path, machine: str) -> Iterator[tuple[Model, Path]]:
    there: dict[Model, Stored] = {}
    for stored in read_suite(results, name).finished:
        record = stored.record
        classifier = record.kind == "train" and record.cell.get("segmentation") is None
        if classifier and stored.folder.parent.name == machine:
            assert record.arm is not None
            assert record.seed is not None
            there[record.pair, record.arm, record.seed] = stored
    for pair, arm, seed in _models(suite):
        stored = there.get((pair, arm, seed))
        if stored is None:
            raise CheckpointError(
                f"Suite {name!r} has no finished training of {pair} {arm} with seed {seed} here.",
                where="backbone.suite",
                fix=f"Run it first: swatbench run suites/{name}.yaml.",
            )
        average = stored.folder / AVERAGE
        yield (pair, arm, seed), average if average.exists() else stored.folder / WEIGHTS


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"The backbone's weights cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="Correct backbone.files, or train the cell again whose folder this is.",
        ) from error
