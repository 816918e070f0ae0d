"""Tables → CSV and Markdown, with text made harmless for each.

In CSV numbers stay numbers, and a text is on one line. Where a spreadsheet would take it for a formula, which
is at its beginning or after a semicolon, by which some part columns, an apostrophe goes before.
"""

import re
from typing import Any

from swatbench.report.table import CellView, Table, absent
from swatbench.visible import visible

_FORMULA = re.compile(r"(^\s*|;\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where the next character, also one of full width, makes a formula of a text."""

_MARKDOWN_SPECIAL = re.compile(r"[\\`*|\[\]~$]|(?<![^\W_])_|_(?![^\W_])")
_MARKDOWN_BLOCK = re.compile(r"^\s*(?:(?=#|[+-](?:\s|$)|--|=+\s*$)|\d{1,9}(?=[.)](?:\s|$)))")
"""Where a line would begin a heading, a list or a rule."""
_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
"""Where GitHub would make a link of what has none."""


def csv_text(table: Table) -> str:
    """Raw values in SI units, one row a fact; text that looks like a formula gets a leading apostrophe."""
    facts = table.facts
    for name in (column.name for column in table.columns if column.links and column.name in facts):
        facts = facts.assign(**{name: facts[name].map(_addresses)})
    return facts.map(_csv_cell).to_csv(index=False, lineterminator="\n")


def markdown_text(table: Table, machine: str | None = None) -> str:
    """A table in GitHub's Markdown, as shown on the page."""
    heads = " | ".join(escape_markdown(column.title) for column in table.columns)
    rule = " | ".join("---:" if column.numeric else "---" for column in table.columns)
    rows = [" | ".join(map(_markdown_cell, row)) for row in table.views(machine)]
    lines = "\n".join(f"| {line} |" for line in (heads, rule, *rows))
    rest = table.rest(machine)
    return f"{lines}\n\n{rest}" if rest else lines


def escape_markdown(text: str) -> str:
    r"""Text for a Markdown table, on one line.

    Example:
        >>> escape_markdown("a|b <script>")
        'a\\|b &lt;script&gt;'
    """
    plain = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    marked = _MARKDOWN_SPECIAL.sub(r"\\\g<0>", plain)
    return _ADDRESS.sub(r"\\", _MARKDOWN_BLOCK.sub(r"\g<0>\\", marked))


def _addresses(links: Any) -> str:
    return "" if absent(links) else " ".join(href for _, href in links)


def _csv_cell(value: Any) -> Any:
    return _FORMULA.sub(r"\1'", visible(value)) if isinstance(value, str) else value


def _markdown_cell(view: CellView) -> str:
    if view.links:
        return " ".join(f"[{escape_markdown(text)}]({href})" for text, href in view.links)
    text = escape_markdown(view.text)
    return f"[{text}]({view.link})" if view.link else text
