"""What a JSON schema allows at a key, in words; messages about suite files are made of these."""

from collections.abc import Iterator, Mapping
from typing import Any

from swatbench.spec.problem import Key

Schema = Mapping[str, Any]

_PLAIN: Mapping[str, str] = {"string": "text", "null": "null"}


def schema_at(root: Schema, key: Key) -> Schema | None:
    """The part of a schema that governs a key, references resolved; None where it knows no such key.

    Args:
        root: A JSON schema as pydantic writes it, with its `$defs`.
        key: Path to a value.
    """
    here: Schema | None = root
    for part in key:
        choices = _alternatives(root, here)
        here = next((found for one in choices if (found := _child(one, part)) is not None), None)
        if here is None:
            return None
    return here


def keys_at(root: Schema, key: Key) -> list[str]:
    """Names of the keys allowed below `key`, in the order in which they are documented."""
    alternatives = _alternatives(root, schema_at(root, key))
    return list(dict.fromkeys(name for one in alternatives for name in one.get("properties", ())))


def choices_at(root: Schema, key: Key) -> list[str]:
    """The words allowed as a value at `key`; empty where it is not a choice."""
    alternatives = _alternatives(root, schema_at(root, key))
    return [word for one in alternatives for word in _choices(one) if isinstance(word, str)]


def parents_of(root: Schema, name: str) -> list[str]:
    """Names of the top-level keys below which a key called `name` is allowed."""
    return [top for top in keys_at(root, ()) if name in keys_at(root, (top,))]


def describe(root: Schema, schema: Schema) -> str:
    """What a schema allows, in words.

    >>> describe({}, {"type": "integer", "minimum": 1, "maximum": 9})
    'a whole number from 1 to 9'
    >>> describe({}, {"anyOf": [{"enum": ["cpu", "cuda"]}, {"type": "null"}]})
    'cpu, cuda or null'
    """
    parts = [words for one in _alternatives(root, schema) for words in _parts(root, one)]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _alternatives(root: Schema, schema: Schema | None) -> Iterator[Schema]:
    if schema is None:
        return
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        yield from _alternatives(root, root["$defs"][name])
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _alternatives(root, one)
    else:
        yield schema


def _child(schema: Schema, part: str | int) -> Schema | None:
    if isinstance(part, str):
        other = schema.get("additionalProperties")
        return schema.get("properties", {}).get(part, other if isinstance(other, dict) else None)
    prefix = schema.get("prefixItems", ())
    return prefix[part] if part < len(prefix) else schema.get("items")


def _choices(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _parts(root: Schema, schema: Schema) -> list[str]:
    if words := _choices(schema):
        return [str(word) for word in words]
    match schema.get("type"):
        case "integer" | "number" as kind:
            name = "a whole number" if kind == "integer" else "a number"
            return [f"{name}{_range(schema)}"]
        case "boolean":
            return ["true", "false"]
        case "array":
            return [_array(root, schema)]
        case "object":
            return [f"the keys {', '.join(schema.get('properties', ()))}"]
        case kind:
            pattern = schema.get("pattern")
            return [f"text that matches {pattern}" if pattern else _PLAIN.get(str(kind), str(kind))]


def _array(root: Schema, schema: Schema) -> str:
    if prefix := schema.get("prefixItems"):
        return f"a list of {len(prefix)}: {', '.join(describe(root, one) for one in prefix)}"
    least = " at least one of" if schema.get("minItems") == 1 else ""
    return f"a list of{least}: {describe(root, schema['items'])}"


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}" if max(abs(low), abs(high)) < 1e6 else f" from {low} to {high}"
    bounds = (
        (low, "at least"),
        (schema.get("exclusiveMinimum"), "above"),
        (high, "at most"),
        (schema.get("exclusiveMaximum"), "below"),
    )
    words = [f"{word} {bound:.10g}" for bound, word in bounds if bound is not None]
    return f" {' and '.join(words)}" if words else ""
