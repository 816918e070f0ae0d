"""Colours of figures, and which of them a pair has in every report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

INK, MUTED, RULE, PAPER = "#1c2129", "#7b8490", "#d5dae1", "#ffffff"
"""Text and axes, published points, grid, and the inside of open markers."""

SERIES = ("#1478a4", "#c47a12", "#0f5438", "#c33564", "#6c5c07", "#a773ff", "#772763", "#552fd1")
"""One colour a pair, found by a search for the largest least distance between any two of them.

In normal vision and without each of the three kinds of cones (simulated after Machado et al. 2009) any two
are at least 16 apart in CAM02-UCS (Luo et al. 2006), and on white each has a contrast of at least 3. The
page's dark scheme has a set of its own for which the same holds. Tests compute all of this.
Pairs beyond these take the colours again with a dot (`Shade`), so 16 pairs can be told apart.
"""

PLACES: Mapping[str, int] = MappingProxyType(
    {
        "deit_ti": 0,
        "mixer_ti": 1,
        "swin_t": 2,
        "resmlp_s12": 3,
        "van_b2": 4,
        "deit_s": 5,
        "mixer_s": 6,
        "swin_s": 7,
        "deit_b32": 8,
        "mixer_b32": 9,
    }
)
"""The paper's pairs → their places, which no other pair takes beside them; from 8 on colours carry a dot."""

SMALL: Mapping[str, tuple[str, int]] = MappingProxyType(
    {"deit_mini": ("deit_ti", 13), "mixer_mini": ("mixer_ti", 14), "swin_mini": ("swin_t", 10)}
)
"""A small pair → the pair whose place it takes, and its own place where that pair is in the report too."""

_LOOKS = 2 * len(SERIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """How a pair is told from the others in every figure.

    Attributes:
        colour: One of `SERIES`.
        dotted: Whether its markers hold a dot and its lines carry dots.
    """

    colour: str
    dotted: bool


def colours(pairs: Sequence[str]) -> dict[str, Shade]:
    """Pair → how it looks; no two of 16 look alike.

    A pair of the catalogue looks the same in every report, but for a small one beside the large one of its
    kind.

    Args:
        pairs: All pairs of a report.
    """
    taken = {pair: PLACES[pair] for pair in pairs if pair in PLACES}
    for pair in pairs:
        if pair in SMALL:
            large, own = SMALL[pair]
            taken[pair] = own if large in pairs else PLACES[large]
    others = [pair for pair in pairs if pair not in taken]
    free = [place for place in range(_LOOKS) if place not in taken.values()] or [*range(_LOOKS)]
    taken |= {pair: free[index % len(free)] for index, pair in enumerate(others)}
    return {pair: _shade(taken[pair]) for pair in pairs}


def _shade(place: int) -> Shade:
    return Shade(colour=SERIES[place % len(SERIES)], dotted=place >= len(SERIES))
