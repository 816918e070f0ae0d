"""Pydantic's complaints about a suite, in a user's words: key, place, what is allowed, what was meant."""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from swatbench.spec.document import Document
from swatbench.spec.problem import Key, Mark, Problem
from swatbench.spec.words import Schema, choices_at, describe, keys_at, parents_of, schema_at

_NAMED = re.compile(r"(?P<key>[a-z_]+(?:\.[a-z_]+)*): (?P<rest>.+)", re.DOTALL)


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Problem]:
    """Turn a validation error into problems, one for each key.

    A missing key is left out where an unknown key beside it is probably that key, misspelt.

    Args:
        error: What pydantic found.
        document: The document that it found it in.
        model: The model that the document was validated with.
    """
    schema = model.model_json_schema()
    problems: dict[Key, Problem] = {}
    meant: set[Key] = set()
    details = [_at_its_key(detail, document) for detail in error.errors(include_url=False)]
    for detail in _unknown_first(details):
        if detail["type"] == "too_short" and _has_below(detail["loc"], details):
            continue  # pydantic counts the list without its wrong items
        key = _key(detail, document)
        if detail["type"] == "extra_forbidden":
            meant.update((*key[:-1], name) for name in _near(key, keys_at(schema, key[:-1]))[:1])
        if key not in meant:
            problems.setdefault(key, _problem(detail, key, document, schema))
    return list(problems.values())


def _at_its_key(detail: ErrorDetails, document: Document) -> ErrorDetails:
    """A complaint about a section that names a key of it in front, as `epochs: ...`, moved to that key."""
    named = _NAMED.match(str(detail.get("ctx", {}).get("error", "")))
    if detail["type"] != "value_error" or named is None:
        return detail
    key = (*detail["loc"], *named["key"].split("."))
    if key not in document.marks:
        return detail
    return {**detail, "loc": key, "ctx": {"error": named["rest"]}}


def _has_below(key: Key, details: Iterable[ErrorDetails]) -> bool:
    return any(len(one["loc"]) > len(key) and one["loc"][: len(key)] == key for one in details)


def _unknown_first(details: Iterable[ErrorDetails]) -> list[ErrorDetails]:
    return sorted(details, key=lambda detail: detail["type"] != "extra_forbidden")


def _key(detail: ErrorDetails, document: Document) -> Key:
    """The key of the file that a complaint is about; pydantic appends the members of a union to it."""
    key = detail["loc"]
    if detail["type"] == "missing":
        return key
    while key and key not in document.marks:
        key = key[:-1]
    return key


def _problem(detail: ErrorDetails, key: Key, document: Document, schema: Schema) -> Problem:
    what, fix = _words(detail, key, schema)
    return Problem(key=key, mark=_nearest_mark(key, document), what=what, fix=fix)


def _words(detail: ErrorDetails, key: Key, schema: Schema) -> tuple[str, str | None]:
    """What is wrong, and how to mend it."""
    allowed = schema_at(schema, key) or {}
    match detail["type"]:
        case "extra_forbidden":
            return "unknown key.", _unknown(key, schema)
        case "missing":
            return "this key is missing.", f"Allowed: {describe(schema, allowed)}."
        case "value_error":
            message = str(detail.get("ctx", {}).get("error", detail["msg"]))
            return message if message.endswith((".", "?")) else f"{message}.", None
        case _:
            found = detail["input"]
            return f"{_shown(found)} is not allowed.", _remedy(found, key, schema, describe(schema, allowed))


def _unknown(key: Key, schema: Schema) -> str:
    known = keys_at(schema, key[:-1])
    near = _near(key, known)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    elsewhere = parents_of(schema, str(key[-1])) if not near else []
    if elsewhere:
        meant = f"It belongs under {' or '.join(elsewhere)}. "
    return f"{meant}Allowed: {', '.join(known)}."


def _remedy(found: Any, key: Key, schema: Schema, allowed: str) -> str:
    near = get_close_matches(str(found), choices_at(schema, key), n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]}? Allowed: {allowed}."
    whole = isinstance(found, float) and found.is_integer() and "whole number" in allowed
    return f"Write {found:.0f}. Allowed: {allowed}." if whole else f"Allowed: {allowed}."


def _near(key: Key, known: list[str]) -> list[str]:
    return get_close_matches(str(key[-1]), known, n=2, cutoff=0.6)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a group of keys"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _nearest_mark(key: Key, document: Document) -> Mark:
    while key and key not in document.marks:
        key = key[:-1]
    return document.marks.get(key, Mark(line=1, column=1))
