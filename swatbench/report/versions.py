"""Whether both sides of a comparison were made by the same code and alike: told, and never a bar to it."""

from collections.abc import Iterator, Sequence

from swatbench.report import words
from swatbench.store.files import Stored
from swatbench.store.record import Environment, Record

_SHOWN = 10
"""Characters of a commit that are shown."""


def unlike_versions(compared: Sequence[tuple[int, Stored, Stored]]) -> tuple[str, ...]:
    """Say in what versions, commits and numbers of processes two sides differ; nothing when all are alike.

    Args:
        compared: Seed, and the records of reference and arm, of each seed that is compared.

    Returns:
        Each difference once, reference first, with its seeds where it does not hold for all of them.
    """
    seeds: dict[str, list[int]] = {}
    for seed, reference, arm in compared:
        for remark in _remarks(reference.record, arm.record):
            seeds.setdefault(remark, []).append(seed)
    return tuple(
        remark if len(where) == len(compared) else f"{remark} (seed {words.listed([*map(str, where)])})"
        for remark, where in seeds.items()
    )


def _remarks(reference: Record, arm: Record) -> Iterator[str]:
    ours, theirs = reference.environment, arm.environment
    versions = ", ".join(_versions(ours, theirs))
    if versions:
        yield f"made with different versions: {versions}"
    if ours.git_commit != theirs.git_commit:
        yield f"different commits: {_commit(ours)} and {_commit(theirs)}"
    if ours.git_dirty != theirs.git_dirty:
        yield f"uncommitted changes: {_changes(ours)} and {_changes(theirs)}"
    if reference.train and arm.train and reference.train.processes != arm.train.processes:
        yield f"trained by {reference.train.processes} and {arm.train.processes} processes"


def _versions(ours: Environment, theirs: Environment) -> Iterator[str]:
    if ours.swatbench != theirs.swatbench:
        yield f"swatbench {ours.swatbench} and {theirs.swatbench}"
    for name in sorted(ours.packages.keys() | theirs.packages.keys()):
        one, other = ours.packages.get(name, "none"), theirs.packages.get(name, "none")
        if one != other:
            yield f"{name} {one} and {other}"


def _commit(environment: Environment) -> str:
    return environment.git_commit[:_SHOWN] if environment.git_commit else "unknown"


def _changes(environment: Environment) -> str:
    return {True: "some", False: "none", None: "unknown"}[environment.git_dirty]
