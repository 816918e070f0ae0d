"""Whether the two sides of a comparison were made with the same code: told beside it, never a bar to it."""

from collections.abc import Iterator, Sequence

from swatbench.report import words
from swatbench.report.selection import Trained
from swatbench.store.record import Environment

_SHOWN = 10
"""Characters of a commit that are shown."""


def unlike_versions(compared: Sequence[tuple[Trained, Trained]]) -> tuple[str, ...]:
    """Say in what versions and commits runs and their references differ; nothing when all are alike.

    Args:
        compared: Reference and arm of each seed that is compared.

    Returns:
        Each difference once, reference first, with its seeds where it does not hold for all of them.
    """
    seeds: dict[str, list[int]] = {}
    for reference, arm in compared:
        for remark in _remarks(reference.stored.record.environment, arm.stored.record.environment):
            seeds.setdefault(remark, []).append(arm.cell.seed)
    return tuple(
        remark if len(where) == len(compared) else f"{remark} (seed {words.listed([*map(str, where)])})"
        for remark, where in seeds.items()
    )


def _remarks(ours: Environment, theirs: Environment) -> Iterator[str]:
    versions = ", ".join(_versions(ours, theirs))
    if versions:
        yield f"made with different versions: {versions}"
    if ours.git_commit != theirs.git_commit:
        yield f"different commits: {_commit(ours)} and {_commit(theirs)}"
    if ours.git_dirty != theirs.git_dirty:
        yield f"uncommitted changes: {_changes(ours)} and {_changes(theirs)}"


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
