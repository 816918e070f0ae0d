"""Tables → LaTeX with booktabs, as shown on the page."""

import textwrap
from collections.abc import Sequence

from swatbench.report.table import Column, Table
from swatbench.report.tex_text import escape_tex

PROSE = "p{7cm}"
"""A column whose text is broken into lines."""
_HEAD = 14
"""Characters of a column's head after which it is broken."""
SIZES = ((r"\small", 9.0), (r"\footnotesize", 8.0), (r"\scriptsize", 7.0), (r"\tiny", 5.0))
"""Sizes of letters and their heights in points, the largest first."""
_WIDE_PT, _PROSE_PT, _GAP_PT, _EM = 750.0, 200.0, 7.0, 0.52
"""Widths in points of a landscape page, a column of prose and a gap; of a letter as a part of its height."""


def tex_text(table: Table) -> str:
    r"""A `tabular` with booktabs rules, as shown on the page; needs `\usepackage{booktabs}`."""
    columns, rows = _grid(table)
    align = "".join(PROSE if column.prose else "r" if column.numeric else "l" for column in columns)
    heads = " & ".join(map(_head, columns))
    body = "".join(f"{_row(columns, row)} \\\\\n" for row in rows)
    rest = table.rest()
    return (
        f"% {escape_tex(table.title)}. Needs \\usepackage{{booktabs}}. {rest}".rstrip() + "\n"
        f"\\begin{{tabular}}{{{align}}}\n\\toprule\n{heads} \\\\\n\\midrule\n{body}"
        "\\bottomrule\n\\end{tabular}\n"
    )


def tex_size(table: Table) -> str:
    """The largest size of letters in which a table is likely to fit across a landscape page."""
    columns, rows = _grid(table)
    letters = [
        max(map(len, (*textwrap.wrap(column.title, _HEAD), *(row[place] for row in rows)))) + 1
        for place, column in enumerate(columns)
        if not column.prose
    ]
    left = _WIDE_PT - _GAP_PT * len(columns) - _PROSE_PT * sum(column.prose for column in columns)
    return next((name for name, high in SIZES if _EM * high * sum(letters) <= left), SIZES[-1][0])


def _grid(table: Table) -> tuple[list[Column], list[list[str]]]:
    """Columns and texts as they are set: without links, and with the machine where there are several."""
    kept = [place for place, column in enumerate(table.columns) if not column.links]
    columns = [table.columns[place] for place in kept]
    rows = [[row[place].text for place in kept] for row in table.views()]
    machines = table.machines()
    if len(set(machines)) < 2:
        return columns, rows
    named = [[machine, *row] for machine, row in zip(machines, rows, strict=True)]
    return [Column(name="machine", title="Machine"), *columns], named


def _head(column: Column) -> str:
    lines = [escape_tex(line) for line in textwrap.wrap(column.title, _HEAD, break_long_words=False)]
    if len(lines) == 1:
        return lines[0]
    side, stacked = "r" if column.numeric else "l", r" \\ ".join(lines)
    return f"\\shortstack[{side}]{{{stacked}}}"


def _row(columns: Sequence[Column], texts: Sequence[str]) -> str:
    cells = (
        escape_tex(text).replace("/", r"/\allowbreak{}").replace(r"\_", r"\_\allowbreak{}")
        if column.prose
        else escape_tex(text)
        for column, text in zip(columns, texts, strict=True)
    )
    return " & ".join(cells)
