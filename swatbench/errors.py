"""Every failure that a user can cause or meet, and the exit code each one ends the program with.

    SwatbenchError                 1   anything below; also a run in which some cell failed
    ├── SuiteError                 2   the suite file (or a command's argument) is wrong
    ├── DataError                  3   a dataset is missing, incomplete or unreadable
    ├── ModelError                 4   a model is unknown, or SWAT cannot be applied to it
    ├── CheckpointError            5   a checkpoint is damaged or belongs to another cell
    ├── StoreError                 6   the results folder cannot be read or written
    ├── TrainingError              7   training diverged
    ├── MachineError               8   this machine lacks something that was asked for
    └── GateError                  9   a limit on a report is broken, not decided, or judges nothing

What goes wrong inside a cell (5, 7) becomes the cell's record, and the run goes on and ends with 1; 5 also
where weights that a user names cannot be read. An interrupted run ends with 130 (SIGINT) or 143 (SIGTERM), as
a shell expects.
"""

from typing import ClassVar


class SwatbenchError(Exception):
    """A failure told to the user as what went wrong, where, and what to do.

    Attributes:
        what: One sentence that says what is wrong.
        where: The file, line and key, or the cell, that it concerns.
        fix: What the user can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what, where, fix)
        self.what = what
        self.where = where
        self.fix = fix

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.fix)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f" {self.fix}" if self.fix else ""
        return f"{place}{self.what}{remedy}"


class SuiteError(SwatbenchError):
    """The suite file, or an argument of a command, is wrong."""

    exit_code = 2


class DataError(SwatbenchError):
    """A dataset is missing, incomplete or unreadable."""

    exit_code = 3


class ModelError(SwatbenchError):
    """A model is unknown, or SWAT cannot be applied to it."""

    exit_code = 4


class CheckpointError(SwatbenchError):
    """A checkpoint is damaged or belongs to another cell."""

    exit_code = 5


class StoreError(SwatbenchError):
    """The results folder cannot be read or written."""

    exit_code = 6


class TrainingError(SwatbenchError):
    """Training diverged."""

    exit_code = 7


class MachineError(SwatbenchError):
    """This machine lacks something that was asked for."""

    exit_code = 8


class GateError(SwatbenchError):
    """A limit on a report is broken, not decided, or found nothing to judge."""

    exit_code = 9


def _rebuild(kind: type[SwatbenchError], what: str, where: str | None, fix: str | None) -> SwatbenchError:
    """Recreate an error that crossed a process boundary, keyword arguments included."""
    return kind(what, where=where, fix=fix)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or where it says nothing, the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
