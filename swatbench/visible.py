"""Text from elsewhere without what cannot be seen: what every page, table and terminal begins with.

Control characters move the cursor and colour a terminal, marks of direction turn round what stands beside
them, and characters without width hide in names. None of them is kept: each stands as its number. Letters of
every script stay as they are.

Source: Unicode 15, categories Cc, Cf, Cs, Zl and Zp, and Default_Ignorable_Code_Point.
"""

import re

LONGEST = 2_000
"""Characters of one text on a terminal; the rest is counted."""

_GAPS = re.compile("[\t\n\x0b\x0c\r\x1c-\x1f\x85\u2028\u2029]+")
"""What ends a line or a column."""
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    r"""Text on one line in which every character can be seen.

    Example:
        >>> visible("red\x1b[31m\nand \u202eright\u202c")
        'red\\x1b[31m and \\u202eright\\u202c'
    """
    # Nearly every text is plain, and a page has a hundred thousand of them.
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(_number, _GAPS.sub(" ", text))


def visible_lines(text: str) -> str:
    """The same of a text that may have several lines."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(text: str) -> str:
    r"""JSON with the same values and every character visible.

    Example:
        >>> visible_json('{"a": "\x9b31m"}')
        '{"a": "\\u009b31m"}'
    """
    # JSON has no unseen characters of its own but the ends of its lines.
    return "\n".join(_UNSEEN.sub(_json_number, line) for line in text.split("\n"))


def cut(text: str) -> str:
    """The beginning of a text that would fill a terminal, and how much is left out."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} more characters)"


def _number(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_number(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
