"""Colours that can be told apart, by computation: with any kind of colour vision, on light and on dark."""

import itertools
import re
import warnings
from importlib.resources import files

import pytest

from swatbench.report.palette import MUTED, PLACES, SERIES, SMALL, colours
from swatbench.spec.catalog import PAIRS

with warnings.catch_warnings():
    # Its texts hold backslashes that Python warns of when it compiles them first.
    warnings.simplefilter("ignore")
    from colorspacious import cspace_convert, deltaE

LEAST_APART = 15
"""In CAM02-UCS, which colorspacious computes; one is a difference that can just be seen."""
LEAST_CONTRAST = 3.0
"""WCAG 2.2, success criterion 1.4.11, for graphics."""
LEAST_TEXT_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3, for text."""
VISIONS = {
    "all cones": "sRGB1",
    # Machado, Oliveira and Fernandes (2009), as colorspacious has them; 100 is a cone that is absent.
    **{
        kind: {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
        for kind in ("protanomaly", "deuteranomaly", "tritanomaly")
    },
}


def schemes():
    """Names of colours → colours, in light, in dark and in print, as the page's style has them."""
    css = files("swatbench.report").joinpath("page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    return dict(zip(("light", "dark", "print"), found, strict=True))


def rgb(colour):
    return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def contrast(one, other):
    """Contrast by WCAG 2.2: from 1 to 21."""

    def luminance(colour):
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def series(scheme):
    return [scheme[f"series-{place}"] for place in range(len(SERIES))]


def apart(one, other, vision):
    seen = [cspace_convert(rgb(colour), VISIONS[vision], "sRGB1") for colour in (one, other)]
    return deltaE(*seen, input_space="sRGB1", uniform_space="CAM02-UCS")


def test_the_page_shows_the_colours_of_the_files():
    found = schemes()
    assert series(found["light"]) == series(found["print"]) == list(SERIES)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_any_two_pairs_can_be_told_apart(scheme, vision):
    found = series(schemes()[scheme])
    closest = min(itertools.combinations(found, 2), key=lambda two: apart(*two, vision))
    assert apart(*closest, vision) >= LEAST_APART, closest


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_everything_stands_out_from_the_page(scheme):
    found = schemes()[scheme]
    for colour in (*series(found), *([MUTED] if scheme == "light" else [])):
        assert contrast(colour, found["paper"]) >= LEAST_CONTRAST, colour
    for text in ("ink", "muted", "link"):
        for ground in ("paper", "wash"):
            assert contrast(found[text], found[ground]) >= LEAST_TEXT_CONTRAST, (text, ground)


def test_the_simulation_knows_what_is_confused():
    red, green = "#c04000", "#608000"
    assert apart(red, green, "all cones") > 2 * apart(red, green, "deuteranomaly")


def test_every_pair_of_the_catalogue_has_a_place():
    assert set(PLACES) | set(SMALL) == set(PAIRS)
    assert len(set(PLACES.values())) == len(PLACES)
    for small, (large, _) in SMALL.items():
        assert PAIRS[small].family == PAIRS[large].family


def test_a_pair_looks_the_same_in_every_report():
    whole = colours(list(PLACES))
    assert len(set(whole.values())) == len(PLACES)
    for pair in PLACES:
        assert colours([pair])[pair] == whole[pair]
        assert colours(["another", pair, "further"])[pair] == whole[pair]
    for small, (large, _) in SMALL.items():
        assert colours([small])[small] == whole[large]
        together = colours([small, large])
        assert together[large] == whole[large]
        assert together[small] != together[large]


def test_no_two_of_sixteen_pairs_look_alike():
    known = list(PAIRS)
    for names in (
        [f"pair{number}" for number in range(16)],
        [*known, "a", "b", "c"],
        ["x", *known[::-1], "y"],
    ):
        looks = colours(names)
        assert list(looks) == names
        assert len(set(looks.values())) == len(names)
    assert len(colours([f"pair{number}" for number in range(40)])) == 40
