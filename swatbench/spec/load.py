"""A suite file read and checked: every problem is told at once, by file, line and key."""

import json
from collections.abc import KeysView
from difflib import get_close_matches
from pathlib import Path

import yaml
from pydantic import ValidationError

from swatbench.errors import SuiteError
from swatbench.regular_file import open_regular
from swatbench.spec.document import Document, read_document, syntax_problem
from swatbench.spec.explain import explain
from swatbench.spec.paired import PairedSuite
from swatbench.spec.problem import Mark, Problem, suite_error
from swatbench.spec.suite import ProfileSuite, Suite

MAX_BYTES = 1_000_000
"""Largest suite file."""


def load_suite(path: Path) -> Suite | ProfileSuite:
    """Read a suite file; one that names neither data nor recipe nor seeds measures cost alone.

    Args:
        path: A YAML file in UTF-8.

    Raises:
        SuiteError: The file cannot be read, is no YAML, or is no suite. Each problem is one line, with file,
            line, column, key, what is allowed and, for a misspelt key or name, the nearest match.
    """
    return parse_suite(_read(path), file=str(path))


def load_training_suite(path: Path) -> Suite:
    """Read a suite file that trains.

    Args:
        path: A YAML file in UTF-8.

    Raises:
        SuiteError: As for `load_suite`, and where the suite only measures cost.
    """
    suite = load_suite(path)
    if isinstance(suite, ProfileSuite):
        raise SuiteError(
            "this suite has no data and no recipe: it only measures cost.",
            where=str(path),
            fix="Name a suite that trains.",
        )
    return suite


def parse_suite(text: str, *, file: str) -> Suite | ProfileSuite:
    """Turn the text of a suite file into a suite.

    Args:
        text: YAML.
        file: Name of the file, for messages.

    Raises:
        SuiteError: As for `load_suite`.
    """
    document = _document(text, file)
    if not isinstance(document.value, dict):
        raise suite_error(file, document.problems or [_no_keys(document)])
    problems = {problem.key: problem for problem in document.problems}
    kind = _kind(document.value.keys())
    try:
        # Strict mode takes a list for a tuple only where it comes from JSON.
        suite = kind.model_validate_json(json.dumps(document.value, allow_nan=False))
    except ValidationError as error:
        found = {problem.key: problem for problem in explain(error, document, kind)}
        raise suite_error(file, (found | problems).values()) from None
    if problems:
        raise suite_error(file, problems.values())
    return suite


def _kind(keys: KeysView[str]) -> type[Suite] | type[ProfileSuite]:
    trains = {name for name, field in Suite.model_fields.items() if field.is_required()}
    return Suite if keys & (trains - PairedSuite.model_fields.keys()) else ProfileSuite


def _document(text: str, file: str) -> Document:
    try:
        return read_document(text)
    except yaml.YAMLError as error:
        raise suite_error(file, [syntax_problem(error, text)]) from None


def _no_keys(document: Document) -> Problem:
    found = {list: "a list", type(None): "nothing"}.get(type(document.value), "a single value")
    required = [name for name, field in ProfileSuite.model_fields.items() if field.is_required()]
    trains = [name for name, field in Suite.model_fields.items() if field.is_required()]
    return Problem(
        key=(),
        mark=document.marks.get((), Mark(line=1, column=1)),
        what=f"a suite is a set of keys, and this file holds {found}.",
        fix=f"Required: {', '.join(required)}; to train also {', '.join(trains[len(required) :])}.",
    )


def _read(path: Path) -> str:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SuiteError("there is no such file.", where=str(path), fix=_neighbours(path)) from None
    except IsADirectoryError:
        raise SuiteError("this is a folder, not a file.", where=str(path), fix=_neighbours(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        fix = "See to its permissions." if isinstance(error, PermissionError) else "Name a file of text."
        raise SuiteError(f"the file cannot be read: {reason}.", where=repr(str(path)), fix=fix) from None
    return _decode(data, path)


def _decode(data: bytes, path: Path) -> str:
    if len(data) > MAX_BYTES:
        raise SuiteError(
            f"a suite has at most {MAX_BYTES:,} bytes; this file is larger.",
            where=str(path),
            fix="Name the suite's own file; it is written by hand.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SuiteError(
            "the file is not UTF-8 text.", where=f"{path}:{line}", fix="Save it as UTF-8."
        ) from None


def _neighbours(path: Path) -> str | None:
    folder = path if path.is_dir() else path.parent
    names = sorted(one.name for one in folder.glob("*.y*ml")) if folder.is_dir() else []
    near = get_close_matches(path.name, names, n=1, cutoff=0.5) or names[:5]
    return f"Did you mean {' or '.join(str(folder / name) for name in near)}?" if near else None
