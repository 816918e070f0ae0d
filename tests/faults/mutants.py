"""Suite files that somebody has spoiled: the real ones, changed in values, text or bytes."""

import copy
import math
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
TEXTS = {path.stem: path.read_text() for path in sorted((ROOT / "suites").glob("*.yaml"))}
CYCLE: list[Any] = []
CYCLE.append(CYCLE)
SHARED = {"a": [1, 2]}

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 31, 32, 64, 224, 2**31, 2**63, -(2**63), 10**30, 10**4000),
    *(0.0, -0.0, 0.5, 1.0, -1.5, 1e-300, 1e300, math.nan, math.inf, -math.inf, 5e-324),
    *("", " ", "null", "yes", "1e400", "0x10", "auto", "baseline", "swat", "deit_mini", "cifar10"),
    *("../../etc", "/etc/passwd", "~root", "a/b", "..", "name\nnext", "\x1b[31m", "a\u202eb", "\u200b"),
    *("<script>alert(1)</script>", "=1+1", "[red]x[/red]", "$(ls)", "{{7*7}}", "%s%n", "x" * 5_000, "é"),
    *([], {}, [[]], [None], {"": None}, [1, "a", None], list(range(3_000)), {str(n): n for n in range(500)}),
    *(CYCLE, [SHARED, SHARED], b"\x00\xff", date(2024, 5, 6), {1, 2}, {1: 2}, {None: 1}, {True: 1}),
)
"""Values that a key may be given."""
NAMES = (
    "nmae",
    "Name",
    "seeds ",
    "recipie",
    "__class__",
    "<<",
    "",
    "a.b",
    "a\nb",
    "\u202e",
    "0",
    "null",
    "=",
)
JUNK = (
    *(
        "&a ",
        "*a",
        "!!python/object/apply:os.system [ls]",
        "!!binary ",
        "!x ",
        "!!int ",
        "<<: *a\n",
        "? ",
        "- ",
    ),
    *(
        "\t",
        "\x00",
        "\x07",
        "\x1b[2J",
        "\u202e",
        "\ufeff",
        "\x85",
        "\u2028",
        "\ud7ff",
        "\ue000",
        "\U0010ffff",
    ),
    *(
        "---\n",
        "...\n",
        "%YAML 9.9\n---\n",
        "%TAG ! x:\n---\n",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "|\n",
        ">\n",
        "#",
    ),
    *(
        "@",
        "`",
        ",",
        ":",
        ": ",
        "\n",
        "\r",
        "\\",
        '"\\ud800"',
        '"\\Uffffffff"',
        "9" * 6_000,
        "1" * 90 + "e9999",
    ),
)
ENCODINGS = ("utf-16", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "cp1252", "shift_jis", "cp500")
MAGIC = (b"", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x7fELF", b"%PDF-1.7\n", b"\x00" * 64)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a tree but its root."""
    if len(at) > 8:  # a cycle has no end
        return []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in items for path in ((*at, key), *_places(item, (*at, key)))]


def _parent(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        tree = tree[key]
    return tree


@st.composite
def changed_values(draw: st.DrawFn) -> bytes:
    """A suite with one to three of its values replaced, removed, renamed, swapped, wrapped or added."""
    tree = yaml.safe_load(draw(st.sampled_from([*TEXTS.values()])))
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, tree)
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=draw(st.booleans()))
    return text.encode("utf-8", "surrogatepass")


def _change(draw: st.DrawFn, tree: Any) -> None:
    places = _places(tree)
    if not places:
        return
    path = draw(st.sampled_from(places))
    parent, key = _parent(tree, path), path[-1]
    match draw(st.sampled_from(("odd", "odd", "number", "delete", "rename", "swap", "wrap", "add", "text"))):
        case "odd":
            parent[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
        case "number":
            parent[key] = draw(st.integers() | st.floats() | st.integers(0, 300))
        case "text":
            parent[key] = draw(st.text(max_size=40))
        case "delete":
            del parent[key]
        case "rename" if isinstance(parent, dict):
            parent[_misspelt(draw, key)] = parent.pop(key)
        case "swap":
            other = draw(st.sampled_from(places))
            theirs = _parent(tree, other)
            parent[key], theirs[other[-1]] = copy.deepcopy(theirs[other[-1]]), copy.deepcopy(parent[key])
        case "wrap":
            parent[key] = [parent[key]] if draw(st.booleans()) else {"x": parent[key]}
        case _ if isinstance(parent, dict):
            parent[draw(st.sampled_from(NAMES))] = copy.deepcopy(draw(st.sampled_from(ODD)))


def _misspelt(draw: st.DrawFn, name: Any) -> Any:
    place = draw(st.integers(0, len(str(name))))
    other = f"{str(name)[:place]}{draw(st.sampled_from(('', 'x', '_', ' ')))}{str(name)[place + 1 :]}"
    return draw(st.sampled_from((*NAMES, other, other)))


@st.composite
def changed_text(draw: st.DrawFn) -> bytes:
    """A suite with junk put in, a part cut out or said twice, lines swapped or indented, or cut short."""
    text = draw(st.sampled_from([*TEXTS.values()]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(text) - 1)))
        end = start + draw(st.integers(0, 60))
        match draw(
            st.sampled_from(("junk", "junk", "cut", "again", "line twice", "indent", "short", "letters"))
        ):
            case "junk":
                text = f"{text[:start]}{draw(st.sampled_from(JUNK))}{text[start:]}"
            case "letters":
                text = f"{text[:start]}{draw(st.text(max_size=8))}{text[end:]}"
            case "cut":
                text = text[:start] + text[end:]
            case "again":
                text = text[:end] + text[start:]
            case "short":
                text = text[:start]
            case kind:
                lines = text.splitlines(keepends=True) or [""]
                place = start % len(lines)
                lines[place] = lines[place] * 2 if kind == "line twice" else f"  {lines[place]}"
                text = "".join(lines)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def changed_bytes(draw: st.DrawFn) -> bytes:
    """A suite in another encoding, with bytes overwritten, or no text at all."""
    data = draw(st.sampled_from([*TEXTS.values()])).encode()
    match draw(st.sampled_from(("encoding", "flip", "flip", "noise", "nul", "comments"))):
        case "encoding":
            return data.decode().encode(draw(st.sampled_from(ENCODINGS)), "replace")
        case "flip":
            spoiled = bytearray(data)
            for _ in range(draw(st.integers(1, 12))):
                spoiled[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
            return bytes(spoiled)
        case "nul":
            return data + b"\x00" * draw(st.integers(1, 5_000))
        case "comments":
            return b"".join(b"# %s\n" % line for line in data.splitlines()[: draw(st.integers(0, 90))])
        case _:
            return draw(st.sampled_from(MAGIC)) + draw(st.binary(max_size=400))


@st.composite
def oversized(draw: st.DrawFn) -> bytes:  # noqa: PLR0911  one way a line
    """A suite that grows: many seeds, keys, levels or letters, aliases of aliases, more than a megabyte."""
    text = draw(st.sampled_from([*TEXTS.values()]))
    count = int(10 ** draw(st.floats(1, 5.7)))
    match draw(st.sampled_from(("seeds", "tests", "keys", "levels", "flow", "letters", "laughs", "file"))):
        case "seeds":
            text += f"\nseeds: [{', '.join(map(str, range(min(count, 150_000))))}]\n"
            return text.replace("\nseeds:", "\nseeds_:", 1).encode() if draw(st.booleans()) else text.encode()
        case "tests":
            tests = [{"name": f"t{n}", "root": "x", "images": 5} for n in range(min(count, 3_000))]
            return yaml.safe_dump(_grown(draw, tests, count)).encode()
        case "keys":
            return (text + "".join(f"k{n}: {n}\n" for n in range(min(count, 80_000)))).encode()
        case "levels":
            return (text + "".join(f"{' ' * n}a:\n" for n in range(min(count, 900)))).encode()
        case "flow":
            return (text + "deep: " + draw(st.sampled_from(("[", "{a: ", "- ", "? "))) * count).encode()
        case "letters":
            return text.replace(": ", f": {'x' * count}", draw(st.integers(1, 3))).encode()
        case "laughs":
            rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 3 + count % 40)]
            return "\n".join((text, "a0: &a0 [lol]", *rows, "")).encode()
        case _:
            return (text + "#" * 1_000_000 + "x" * count).encode()


def _grown(draw: st.DrawFn, tests: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """A suite on ImageNet whose cells multiply: arms by seeds by further tests."""
    tree = yaml.safe_load(TEXTS["imagenet"])
    tree["data"]["further_tests"] = tests[: draw(st.integers(0, len(tests)))]
    tree["seeds"] = list(range(min(count, 3_000)))
    tree["arms"] = draw(st.sampled_from((["baseline", "swat"], ["baseline", "tokenization", "swat"])))
    return tree


KINDS: dict[str, tuple[float, st.SearchStrategy[bytes]]] = {
    "values": (0.45, changed_values()),
    "text": (0.25, changed_text()),
    "bytes": (0.15, changed_bytes()),
    "oversized": (0.15, oversized()),
}
"""Kind of change → its share of all files, and the files."""
