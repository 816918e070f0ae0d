"""Tables → CSV and Markdown, with text made harmless for each."""

import re
from typing import Any

from swatbench.report.table import CellView, Table, absent

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a spreadsheet takes text for a formula."""

_MARKDOWN_SPECIAL = re.compile(r"([\\`*|\[\]])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


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
    plain = _CONTROL.sub(" ", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SPECIAL.sub(r"\\\1", plain)


def _addresses(links: Any) -> str:
    return "" if absent(links) else " ".join(href for _, href in links)


def _csv_cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _markdown_cell(view: CellView) -> str:
    if view.links:
        return " ".join(f"[{escape_markdown(text)}]({href})" for text, href in view.links)
    text = escape_markdown(view.text)
    return f"[{text}]({view.link})" if view.link else text
