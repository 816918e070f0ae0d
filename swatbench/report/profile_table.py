"""A table of a profile as plain strings, for a terminal of 100 columns, and what stands above all of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from swatbench.report import words
from swatbench.report.conditions import LAYOUTS, MODES, precision_of
from swatbench.report.selection import Measured
from swatbench.store.cost import ArmCost, CostResult

WIDTH = 100
"""Characters in a line of the terminal that tables are made for."""

LONGEST_HEAD = 20
"""Characters of a head above which the names of two models are too long to be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileTable:
    """A table in a terminal.

    Attributes:
        title: What it tells and by what it was measured, in a few lines of `WIDTH` characters at most.
        columns: Heads of the columns.
        rows: Cells, as many a row as there are columns.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One quantity of every arm.

    Attributes:
        name: The quantity.
        meaning: What it is, in a few words.
        value: Arm → its value, or None where it was not measured.
        show: Value → text.
        compared: Whether the quotient of two arms means something.
    """

    name: str
    meaning: str
    value: Callable[[ArmCost], Any]
    show: Callable[[Any], str]
    compared: bool = True


def arms_of(measured: Measured) -> tuple[ArmCost, ...]:
    """The arms, the reference first."""
    result = measured.result
    return tuple(sorted(result.arms, key=lambda cost: cost.arm != result.reference))


def heading(measured: Measured) -> str:
    """Which models were measured, and in what condition."""
    result = measured.result
    layout = LAYOUTS[result.layout] or result.layout
    shape = f"batch {batch_in_words(result)}"
    how = f"{precision_of(result)}, {MODES[result.mode]}, {layout}"
    where = f"{result.device}, {words.count(result.threads, 'thread')}"
    models, condition = models_in_words(measured), f"{shape}, {how}, {where}"
    separator = " " if len(models) + len(condition) + 2 <= WIDTH else "\n"
    return f"{models}:{separator}{condition}"


def batch_in_words(result: CostResult) -> str:
    """Images in a batch and their size, as `64 of 3 × 32 × 32`."""
    return f"{result.batch_size} of {' × '.join(map(str, result.input_size))}"


def models_in_words(measured: Measured) -> str:
    """The pair and its arms, or the names of models that are no arms of a pair."""
    reference, *others = (cost.arm for cost in arms_of(measured))
    # Models from elsewhere give their pair its name, so it says all.
    if all(cost.arm in measured.pair for cost in measured.result.arms):
        return measured.pair
    return (
        f"{measured.pair}, {words.listed(others)} against {reference}"
        if others
        else f"{measured.pair}, {reference}"
    )


def table_of(title: str, measured: Measured, lines: Iterable[Line]) -> ProfileTable:
    """A table with one column an arm, and the quotient of two; lines without a value are left out.

    What each quantity is stands beside it where there are two arms at most, and there is room for it.

    Args:
        title: What it tells.
        measured: The measurement.
        lines: The quantities.
    """
    arms = arms_of(measured)
    known = [line for line in lines if any(line.value(cost) is not None for cost in arms)]
    ratio = (_ratio_head(*(cost.arm for cost in arms)),) if len(arms) == 2 else ()
    return ProfileTable(
        title=title,
        columns=("", *(cost.arm for cost in arms), *ratio, *(("what it is",) if len(arms) < 3 else ())),
        rows=tuple(_row(line, arms) for line in known),
    )


def _ratio_head(reference: str, own: str) -> str:
    head = f"{own} / {reference}"
    return head if len(head) <= LONGEST_HEAD else "second / first"


def _row(line: Line, arms: tuple[ArmCost, ...]) -> tuple[str, ...]:
    values = [line.value(cost) for cost in arms]
    shown = [words.NOTHING if value is None else line.show(value) for value in values]
    if len(arms) > 2:
        return (line.name, *shown)
    return (line.name, *shown, *([_quotient(line, *values)] if len(arms) == 2 else []), line.meaning)


def _quotient(line: Line, reference: Any, own: Any) -> str:
    if not line.compared or reference is None or own is None:
        return ""
    return words.factor(own / reference) if reference else words.NOTHING
