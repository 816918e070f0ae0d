"""Numbers as people read them; the only place where values are rounded and given readable units."""

import math
from datetime import UTC, datetime

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
"""Shown where there is no value."""

_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_TIMES = ((60.0, 1 / 60, "min"), (1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (0.0, 1e6, "µs"))


def decimal(value: float | None, places: int = 1) -> str:
    """A number with fixed places and a true minus sign.

    Example:
        >>> decimal(-12.34), decimal(-0.04), decimal(None)
        ('−12.3', '0.0', '–')
    """
    if value is None or math.isnan(value):
        return NOTHING
    text = f"{value:,.{places}f}"
    # A value that rounds to nothing carries no sign.
    return text.lstrip("-") if not text.strip("-0.,") else text.replace("-", MINUS)


def signed(value: float, places: int = 1) -> str:
    """A difference, with its sign.

    Example:
        >>> signed(9.26), signed(-0.5), signed(0.01)
        ('+9.3', '−0.5', '0.0')
    """
    text = decimal(value, places)
    return f"+{text}" if text.strip("0.,") and not text.startswith(MINUS) else text


def whole(value: float | None) -> str:
    """A count, with thousands set apart.

    Example:
        >>> whole(1234567)
        '1,234,567'
    """
    return decimal(value, 0)


def factor(value: float | None) -> str:
    """A ratio, to three digits, and to three places near 1, where they matter.

    Example:
        >>> factor(1.3749), factor(12.04), factor(0.004), factor(1.0123)
        ('1.37', '12.0', '0.00400', '1.012')
    """
    if value is None or math.isnan(value):
        return NOTHING
    return decimal(value, 3) if _near_one(value) else _three(value)


def quantity(value: float | None) -> str:
    """A large count with an SI prefix, three digits.

    Example:
        >>> quantity(1_251_268_000), quantity(142_346), quantity(7)
        ('1.25 G', '142 k', '7')
        >>> quantity(999_999)
        '1.00 M'
    """
    if value is None or math.isnan(value):
        return NOTHING
    for size, prefix in _SI:
        if abs(_rounded(value)) >= size:
            return f"{_three(value / size)} {prefix}"
    return _three(value) if value % 1 else whole(value)


def in_unit(value: float | None, unit: str) -> str:
    """A large quantity with an SI prefix to its unit.

    Args:
        value: The quantity.
        unit: Its unit, without prefix.

    Example:
        >>> in_unit(1.98e9, "Hz"), in_unit(7, "FLOP/s")
        ('1.98 GHz', '7 FLOP/s')
    """
    text = quantity(value)
    return text if text == NOTHING else f"{text}{unit}" if " " in text else f"{text} {unit}"


def energy(value: float | None) -> str:
    """Joules in the unit that suits them, three digits.

    Example:
        >>> energy(0.01234), energy(2.5), energy(0.9999)
        ('12.3 mJ', '2.50 J', '1.00 J')
    """
    if value is None or math.isnan(value):
        return NOTHING
    return f"{_three(1e3 * value)} mJ" if _rounded(value) < 1 else f"{_three(value)} J"


def size(value: float | None) -> str:
    """Bytes in binary units, three digits.

    Example:
        >>> size(5 * 2**20), size(512)
        ('5.00 MiB', '512 B')
        >>> size(2**20 - 1)
        '1.00 MiB'
    """
    if value is None or math.isnan(value):
        return NOTHING
    for unit, name in _BYTES:
        # From here on the next smaller unit would say 1,024.
        if abs(value) >= unit * (1 - 0.5 / 1024):
            return f"{_three(value / unit)} {name}"
    return f"{whole(value)} B"


def duration(value: float | None) -> str:
    """Seconds in the unit that suits them, three digits.

    Example:
        >>> duration(0.01234), duration(3.5), duration(150)
        ('12.3 ms', '3.50 s', '2.50 min')
        >>> duration(0.0009999)
        '1.00 ms'
    """
    if value is None or math.isnan(value):
        return NOTHING
    for least, scale, unit in _TIMES:
        if _rounded(value) >= least:
            return f"{_three(value * scale)} {unit}"
    return NOTHING


def probability(value: float | None) -> str:
    """A p value to two digits.

    Example:
        >>> probability(0.0625), probability(3e-9), probability(1.0)
        ('0.062', '< 0.0001', '1')
    """
    if value is None or math.isnan(value):
        return NOTHING
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def between(low: float | None, high: float | None, places: int = 1) -> str:
    """An interval.

    Example:
        >>> between(-1.25, 3), between(None, None)
        ('−1.2 to 3.0', '–')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NOTHING
    return f"{decimal(low, places)} to {decimal(high, places)}"


def factors(low: float, high: float) -> str:
    """An interval of ratios: three places near 1, three digits below, two places above.

    Example:
        >>> factors(1.34, 1.4), factors(0.9912, 1.0034), factors(0.0512, 0.0534)
        ('1.34 to 1.40', '0.991 to 1.003', '0.0512 to 0.0534')
    """
    if math.isnan(low) or math.isnan(high) or (_near_one(low) and _near_one(high)):
        return between(low, high, 3)
    return " to ".join(_three(end) if end < 1 else decimal(end, 2) for end in (low, high))


def count(number: int, noun: str) -> str:
    """A number and its noun, in singular or plural.

    Example:
        >>> count(1, "seed"), count(1200, "image")
        ('1 seed', '1,200 images')
    """
    return f"{whole(number)} {noun}" if number == 1 else f"{whole(number)} {noun}s"


def moment(value: str) -> str:
    """An ISO 8601 time, in UTC to the minute; other text as it is.

    Example:
        >>> moment("2025-03-01T12:34:56+00:00"), moment("?")
        ('2025-03-01 12:34 UTC', '?')
    """
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return value
    known = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return known.strftime("%Y-%m-%d %H:%M UTC")


def listed(items: list[str]) -> str:
    """Items as in speech.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a"])
        ('a, b and c', 'a')
    """
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)


def _near_one(value: float) -> bool:
    return 0.9 < value < 1.1


def _three(value: float) -> str:
    """Three digits, more where the whole part has more."""
    digits = math.floor(math.log10(abs(_rounded(value)))) if value else 0
    return decimal(value, min(max(2 - digits, 0), 6))


def _rounded(value: float) -> float:
    """To three digits, by which a unit is chosen: 999.9 is shown as 1,000 and needs the next one."""
    return float(f"{value:.3g}")
