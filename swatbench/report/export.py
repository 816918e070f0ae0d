"""Tables → CSV, LaTeX and Markdown, with text made harmless for each."""

import re
from typing import Any

from swatbench.report.table import CellView, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a spreadsheet takes text for a formula."""

_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "×": r"$\times$",
    "µ": r"$\mu$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
}
_TEX_SPECIAL = re.compile("|".join(map(re.escape, _TEX)))
_MARKDOWN_SPECIAL = re.compile(r"([\\`*|\[\]])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def csv_text(table: Table) -> str:
    """Raw values in SI units, one row a fact; text that looks like a formula gets a leading apostrophe."""
    return table.facts.map(_csv_cell).to_csv(index=False, lineterminator="\n")


def tex_text(table: Table) -> str:
    r"""A `tabular` with booktabs rules, as shown on the page; needs `\usepackage{booktabs}`."""
    views = table.views()
    machines: list[str] = table.frame["machine"].tolist()
    heads = [column.title for column in table.columns]
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    rows = [[view.text for view in row] for row in views]
    if len(set(machines)) > 1:
        heads, align = ["Machine", *heads], f"l{align}"
        rows = [[machine, *row] for machine, row in zip(machines, rows, strict=True)]
    body = "".join(f"{_tex_row(row)}\n" for row in rows)
    return (
        f"% {escape_tex(table.title)}. Needs \\usepackage{{booktabs}}.\n"
        f"\\begin{{tabular}}{{{align}}}\n\\toprule\n{_tex_row(heads)}\n\\midrule\n{body}"
        "\\bottomrule\n\\end{tabular}\n"
    )


def markdown_text(table: Table, machine: str | None = None) -> str:
    """A table in GitHub's Markdown, as shown on the page."""
    heads = " | ".join(escape_markdown(column.title) for column in table.columns)
    rule = " | ".join("---:" if column.numeric else "---" for column in table.columns)
    rows = [" | ".join(map(_markdown_cell, row)) for row in table.views(machine)]
    return "\n".join(f"| {line} |" for line in (heads, rule, *rows))


def escape_tex(text: str) -> str:
    r"""Text for LaTeX, on one line.

    Example:
        >>> escape_tex("50 % of $x_1$")
        '50 \\% of \\$x\\_1\\$'
    """
    return _TEX_SPECIAL.sub(lambda found: _TEX[found[0]], _CONTROL.sub(" ", text))


def escape_markdown(text: str) -> str:
    r"""Text for a Markdown table, on one line.

    Example:
        >>> escape_markdown("a|b <script>")
        'a\\|b &lt;script&gt;'
    """
    plain = _CONTROL.sub(" ", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SPECIAL.sub(r"\\\1", plain)


def _csv_cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _tex_row(cells: list[str]) -> str:
    return f"{' & '.join(map(escape_tex, cells))} \\\\"


def _markdown_cell(view: CellView) -> str:
    text = escape_markdown(view.text)
    return f"[{text}]({view.link})" if view.link else text
