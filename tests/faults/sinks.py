"""Whether text broke out of where it was put: a page, Markdown, LaTeX, CSV, JSON, a figure, a terminal.

Each check looks at what a program would make of the file: the elements, links, commands and cells in it. What
holds of them with hostile text must hold as with plain text in its place.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

from markdown_it import MarkdownIt

from swatbench.report.tex_text import _ACCENTS, KNOWN
from swatbench.visible import visible, visible_lines

_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)")
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
TEX_COMMANDS = {
    *_COMMAND.findall("".join(KNOWN.values())),
    *(f"\\{accent}" for accent in _ACCENTS.values()),
    r"\allowbreak",
    r"\shortstack",
}
"""What escaped text may be made of."""


class Elements(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.update(name for name, _ in attrs)
        self.addresses.update(str(value) for name, value in attrs if name in ("href", "src", "xlink:href"))

    def handle_data(self, data: str) -> None:
        self.said += data


def check_page(text: str) -> Elements:
    """See that a page has one script, no handlers of events, and no address but those of a report's files."""
    found = Elements(text)
    assert visible_lines(text) == text
    assert found.tags["script"] == 1
    assert not {"img", "iframe", "object", "embed", "form", "base", "link"} & found.tags.keys()
    assert not [name for name in found.attributes if name.startswith("on")]
    assert found.tags["meta"] == 4
    for address in found.addresses:
        assert re.match(r"#|\.\./|tables/|figures/", address), address
        assert ":" not in address
    return found


def check_figure(text: str) -> None:
    """See that a drawing is well-formed and runs nothing."""
    assert visible_lines(text) == text
    for element in ET.fromstring(text).iter():
        assert str(element.tag).rpartition("}")[2] != "script"
        for name, value in element.attrib.items():
            assert not name.startswith("on"), name
            assert not name.endswith("href") or value.startswith("#"), value


def markdown_structure(text: str) -> list[str]:
    """Kinds of all that Markdown is taken for but text, with addresses and raw HTML."""
    assert visible_lines(text) == text
    assert "://" not in text, "GitHub would make a link of it"
    assert not re.search(r"(?i)www\.", text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    kinds = [said for token in tokens for said in (*_kinds([token]), *_kinds(token.children or ()))]
    return [kind for kind in kinds if kind != "text"]


def _kinds(tokens: Iterable[Any]) -> Iterable[str]:
    for token in tokens:
        address = token.attrs.get("href") or token.attrs.get("src")
        raw = token.content if token.type.startswith("html") else ""
        yield " ".join(filter(None, (token.type, str(address or ""), raw)))


def tex_structure(text: str) -> list[str]:
    """Commands of LaTeX that escaped text has no use for, ends of rows and columns, in their order."""
    assert text.isascii()
    bare = re.sub(r"\\[\\{}%&$#_]|\\textbackslash", lambda found: "" if found[0] != r"\\" else r"\\ ", text)
    depth = 0
    for found in re.finditer(r"[{}]", bare):
        depth += 1 if found[0] == "{" else -1
        assert depth >= 0
    assert depth == 0
    found = re.findall(r"\\\\|\\[A-Za-z]+|\\.|&|(?m:^%)|#", bare)
    return [one for one in found if one not in TEX_COMMANDS]


def check_csv(text: str) -> list[list[str]]:
    """See that no cell is a formula, nor a part of one after a semicolon, and give the rows."""
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    for value in (value for row in rows for value in row):
        assert visible(value) == value
        for part in value.split(";"):
            assert not _FORMULA.match(part) or _is_number(part), value
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_terminal(text: str) -> None:
    """See that nothing commands a terminal."""
    assert visible_lines(text) == text
    for line in text.split("\n"):
        assert visible(line) == line


def check_json(text: str) -> Any:
    """See that JSON on a terminal does not either, and give its value."""
    check_terminal(text)
    return json.loads(text)
