"""A YAML text read as JSON values, with the place of every key, by the scalar rules of YAML 1.2.

PyYAML follows YAML 1.1, in which `1e-3` is a string, `no` is false, `1:30` is ninety and the last of two
equal keys wins without a word. Here `1e-3` is a number, only true and false are booleans, and two equal keys
are a problem. Anchors, aliases and foreign tags are refused: no suite needs them, and an alias can grow a
small file without bound.

Source: YAML 1.2.2, section 10.3 (core schema), decimal integers only.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import yaml

from swatbench.spec.problem import Key, Mark, Problem

MAX_DEPTH = 20
"""Levels of nesting; a suite needs four."""
MAX_NODES = 10_000
"""Keys and values together; a suite has about a hundred."""
MAX_INTEGER = 2**63 - 1

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML text as JSON values.

    Attributes:
        value: The value; what had a problem is null in it.
        marks: Key → where it stands. The empty key is the start of the content.
        problems: What is wrong with the text although its syntax is right.
    """

    value: Json
    marks: Mapping[Key, Mark]
    problems: tuple[Problem, ...]


def read_document(text: str) -> Document:
    """Read one YAML document.

    Args:
        text: The text of the file.

    Raises:
        yaml.YAMLError: The syntax is wrong, or the text holds an anchor, an alias, a second document, too
            many levels or too many values; `syntax_problem` turns it into a problem.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except (ValueError, OverflowError) as error:
        # PyYAML lets these through for an escape or a version that is no number it can hold.
        raise yaml.MarkedYAMLError(problem=str(error), problem_mark=loader.get_mark()) from error
    finally:
        loader.dispose()
    reader = _Reader()
    value = None if node is None else reader.read(node, ())
    return Document(value=value, marks=reader.marks, problems=tuple(reader.problems))


def syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    """The problem that a failure of `read_document` on `text` stands for."""
    if isinstance(error, yaml.MarkedYAMLError) and (place := error.problem_mark or error.context_mark):
        context = f" {error.context}:" if error.context else ""
        return Problem(key=(), mark=_mark(place), what=f"not readable as YAML:{context} {error.problem}.")
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        mark = Mark(line=before.count("\n") + 1, column=error.position - (before.rfind("\n") + 1) + 1)
        return Problem(key=(), mark=mark, what=f"character U+{ord(text[error.position]):04X} is not allowed.")
    return Problem(key=(), mark=Mark(line=1, column=1), what=f"not readable as YAML: {error}.")


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2 and with bounds."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  PyYAML's own shape; add_implicit_resolver fills it

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event = self.peek_event()
        self._depth += 1
        self._nodes += 1
        if refusal := self._refusal(event):
            raise yaml.MarkedYAMLError(problem=refusal, problem_mark=event.start_mark)
        node = super().compose_node(parent, index)  # pyright: ignore[reportArgumentType]
        self._depth -= 1
        return node

    def _refusal(self, event: yaml.Event) -> str | None:
        if getattr(event, "anchor", None) is not None:
            return "anchors (&) and aliases (*) are not supported; write the value out"
        if self._depth > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        return f"more than {MAX_NODES} values" if self._nodes > MAX_NODES else None


_CORE = "tag:yaml.org,2002:"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_CORE + _tag, re.compile(rf"^(?:{_pattern})\Z"), _first)


class _Reader:
    """Turns nodes into JSON values, noting places and problems on the way."""

    def __init__(self) -> None:
        self.marks: dict[Key, Mark] = {}
        self.problems: list[Problem] = []

    def read(self, node: yaml.Node, key: Key) -> Json:
        """The value of a node; null, and a problem noted, where it has none."""
        self.marks.setdefault(key, _mark(node.start_mark))
        try:
            return self._value(node, key)
        except ValueError as error:
            self._note(key, node, str(error))
            return None

    def _value(self, node: yaml.Node, key: Key) -> Json:
        if isinstance(node, yaml.MappingNode) and node.tag == _CORE + "map":
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode) and node.tag == _CORE + "seq":
            return [self.read(item, (*key, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and (convert := _SCALARS.get(node.tag)):
            return convert(node.value)
        raise ValueError(f"the tag {node.tag.replace(_CORE, '!!')} is not supported here.")

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Json]:
        values: dict[str, Json] = {}
        for name_node, value_node in node.value:
            name = name_node.value
            if name_node.tag != _CORE + "str" or not isinstance(name, str):
                self._note(key, name_node, "a key must be a word.")
            elif name in values:
                first = self.marks[*key, name].line
                self._note((*key, name), name_node, f"this key appears twice; the first is on line {first}.")
            else:
                self.marks[*key, name] = _mark(name_node.start_mark)
                values[name] = self.read(value_node, (*key, name))
        return values

    def _note(self, key: Key, node: yaml.Node, what: str) -> None:
        self.problems.append(Problem(key=key, mark=_mark(node.start_mark), what=what))


def _mark(mark: yaml.Mark) -> Mark:
    return Mark(line=mark.line + 1, column=mark.column + 1)


def _text(text: str) -> str:
    """Check a string for what no file name and no page can hold."""
    for character in text:
        if (character < " " and character not in "\n\t") or "\ud800" <= character <= "\udfff":
            raise ValueError(f"character U+{ord(character):04X} is not allowed.")
    return text


def _null(text: str) -> None:
    if text not in ("", "~", "null", "Null", "NULL"):
        raise ValueError(f"{_short(text)} is not null.")


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{_short(text)} is neither true nor false.")
    return text.lower() == "true"


def _integer(text: str) -> int:
    # Python refuses to convert more than 4,300 digits, so the length is looked at first.
    if len(text) > 100 or (text.lstrip("+-").isdigit() and abs(int(text)) > MAX_INTEGER):
        raise ValueError(f"{_short(text)} is too large a number.")
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{_short(text)} is not a whole number.") from None


def _float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{_short(text)} is not a finite number.")
    return number


def _short(text: str) -> str:
    if not text.strip():
        return "an empty text"
    return text if len(text) <= 40 else f"{text[:37]}..."


_SCALARS: Mapping[str, Callable[[str], Json]] = MappingProxyType(
    {
        f"{_CORE}str": _text,
        f"{_CORE}null": _null,
        f"{_CORE}bool": _boolean,
        f"{_CORE}int": _integer,
        f"{_CORE}float": _float,
    }
)
