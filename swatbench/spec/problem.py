"""One thing that is wrong in a suite file, and the error that tells all of them at once."""

from collections.abc import Iterable
from dataclasses import dataclass

from swatbench.errors import SuiteError
from swatbench.visible import visible

MOST_TOLD = 20
"""Problems of a file that are told at once."""
Key = tuple[str | int, ...]
"""Path to a value in a file, such as `("recipe", "betas", 0)`; empty for the whole file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a text; lines and columns count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong at one place of a file.

    Attributes:
        key: The key that it concerns.
        mark: Where it stands.
        what: What is wrong, as a sentence.
        fix: What is allowed there, or what was probably meant.
    """

    key: Key
    mark: Mark
    what: str
    fix: str | None = None

    def error(self, file: str) -> SuiteError:
        """The problem as an error on one line, whose place is `file:line:column: key`."""
        where = f"{file}:{self.mark.line}:{self.mark.column}"
        name = dotted(self.key)
        place = f"{where}: {name}" if name else where
        return SuiteError(visible(self.what), where=visible(place), fix=self.fix and visible(self.fix))


def dotted(key: Key) -> str:
    """A key as a user writes it.

    >>> dotted(("recipe", "betas", 0))
    'recipe.betas[0]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def suite_error(file: str, problems: Iterable[Problem]) -> SuiteError:
    """One error for all problems of a file: a line for each of the first, in the order of the file.

    Args:
        file: Name of the file, as the user gave it.
        problems: At least one.
    """
    ordered = sorted(problems, key=lambda one: (one.mark.line, one.mark.column, dotted(one.key)))
    lines = [str(problem.error(file)) for problem in ordered[:MOST_TOLD]]
    if len(ordered) == 1:
        return ordered[0].error(file)
    if len(ordered) > MOST_TOLD:
        more = f"{len(ordered) - MOST_TOLD:,} more problems follow; mend these first."
        lines.append(f"{visible(file)}: {more}")
    return SuiteError("\n".join(lines))
