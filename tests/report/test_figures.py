import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from matplotlib.lines import Line2D

from swatbench.report.axes import BY_NAME
from swatbench.report.canvas import INK, LINES, MARKERS, SERIES, Shade, draw, look_of, short, tip
from swatbench.report.curve_lines import Curve
from swatbench.report.curves import loss_curves
from swatbench.report.figures import figures
from swatbench.report.frontiers import on_frontier
from swatbench.report.points import points
from swatbench.report.published import published_for, published_rows
from swatbench.report.weights import weights_of
from swatbench.spec.catalog import ARMS
from swatbench.store.record import CurvePoint
from tests.report.conftest import World
from tests.report.measured import detail

NAMES = [
    "accuracy_macs",
    "accuracy_params",
    "accuracy_latency",
    "accuracy_throughput",
    "accuracy_training",
    "accuracy_memory",
    "accuracy_training_memory",
    "curves_accuracy",
    "curves_loss",
    "time_ratio",
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    world = World(results=tmp_path_factory.mktemp("drawn") / "results")
    world.quickstart()
    (section,) = world.gather()
    return section, figures(section)


def test_all_figures_are_drawn_and_equal_for_equal_input(drawn):
    section, first = drawn
    assert [drawing.name for drawing in first] == NAMES
    assert figures(section) == first
    for drawing in first:
        assert drawing.png.startswith(b"\x89PNG")
        assert drawing.pdf.startswith(b"%PDF")
        assert not re.search(rb"/(CreationDate|ModDate|Creator|Producer)", drawing.pdf)
        assert b"/CIDFontType2" in drawing.pdf  # TrueType, embedded
        assert b"/FontFile2" in drawing.pdf
        assert f"<title>{drawing.title}</title>" in drawing.svg
        assert "dc:date" not in drawing.svg
        assert drawing.alt
        assert drawing.title


def test_every_arm_of_a_report_can_be_told_from_every_other():
    others = [arm for arm in ARMS if arm != "baseline"]
    for looks in (LINES, MARKERS):
        taken = [look_of(others, arm, len(looks), reference=arm == "baseline") for arm in ARMS]
        assert len(set(taken)) == len(ARMS)
    assert len(set(LINES)) == len(LINES)


def test_a_pair_that_takes_a_colour_again_carries_dots_in_every_figure(world, monkeypatch):
    world.train(arm="baseline")
    world.train(arm="swat", percent=60.0)
    world.cost()
    (section,) = world.gather()
    first = {drawing.name: drawing.svg for drawing in figures(section)}
    ninth = Shade(colour=SERIES[0], dotted=True)
    monkeypatch.setattr("swatbench.report.figures.colours", lambda _: {"deit_mini": ninth})
    dotted = {drawing.name: drawing.svg for drawing in figures(section)}
    assert list(dotted) == NAMES
    for name in NAMES:
        assert dotted[name] != first[name]


def test_the_average_of_the_weights_is_a_thinner_line(world):
    for arm in ("baseline", "swat"):
        world.train(arm=arm, ema=True)
    (section,) = world.gather()
    scatter, accuracy, loss = figures(section)
    assert "thinner lines are their moving average's (EMA)" in accuracy.caption
    assert accuracy.alt.count("EMA") == 2
    assert accuracy.svg.count("stroke-width: 0.6") == 3  # one a run, and the legend's
    assert "stroke-width: 0.6" not in loss.svg
    assert "Accuracies are those of the moving average of the weights (EMA)." in scatter.caption


def test_which_weights_accuracies_are_of_is_said_of_each_pair(world):
    for arm in ("baseline", "swat"):
        world.train("deit_mini", arm)
        world.train("mixer_mini", arm, ema=True)
    (section,) = world.gather()
    assert weights_of(section.pairs).told == (
        "Accuracies are those of the weights themselves (raw) in deit_mini and "
        "of the moving average of the weights (EMA) in mixer_mini."
    )
    assert weights_of(section.pairs).short == ""
    assert weights_of(section.pairs[1:]).short == " (EMA)"


def test_a_pair_keeps_its_colour(drawn):
    _, found = drawn
    for drawing in found:
        assert SERIES[0] in drawing.svg
        assert SERIES[1] in drawing.svg


def test_inline_drawings_follow_the_page_and_share_no_names(drawn):
    _, found = drawn
    ids = []
    for drawing in found:
        inline = drawing.inline()
        ET.fromstring(inline)
        assert inline.startswith("<svg")
        assert INK not in inline
        assert "var(--ink)" in inline
        own = re.findall(r'\bid="([^"]+)"', inline)
        assert {name[1:] for name in re.findall(r'href="(#[^"]+)"', inline)} <= set(own)
        ids += own
    assert len(ids) == len(set(ids))


def test_points_are_means_with_their_spread(drawn):
    section, _ = drawn
    found = {(point.pair, point.arm): point for point in points(section)}
    swat = found["deit_mini", "swat"]
    assert (swat.lowest_percent, swat.percent, swat.highest_percent) == (53.0, 54.25, 55.5)
    assert swat.cost.macs == round(13e6 * 1.16)
    assert swat.compared
    assert not found["deit_mini", "baseline"].compared
    # The Mixer is cheaper and better in this world.
    assert {point.pair for point in on_frontier(section, BY_NAME["macs"])} == {"mixer_mini"}


def test_one_seed_without_cost_draws_what_it_can(world):
    world.train(arm="baseline")
    world.train(arm="swat")
    (section,) = world.gather()
    assert [drawing.name for drawing in figures(section)] == [
        "accuracy_params",
        "curves_accuracy",
        "curves_loss",
    ]


def test_published_points_stand_beside_their_pair(world):
    for arm in ("baseline", "swat"):
        world.train("deit_ti", arm)
    (section,) = world.gather()
    drawing = figures(section)[0]
    assert "published" in drawing.caption
    assert [point.top1_percent for point in published_for(["deit_ti"])] == [72.2, 75.7]
    assert len(published_rows()) == 20


def test_no_window_system_is_touched():
    code = (
        "import sys, swatbench.report.page; print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_too_few_rounds_have_no_whiskers(world):
    paths = []
    for rounds in (5, 30):
        world.cost(rounds=rounds)
        drawn = {drawing.name: drawing.svg for drawing in figures(world.gather()[0])}
        paths.append(drawn["time_ratio"].count("LineCollection"))
    assert paths[0] < paths[1]


def test_accuracy_is_not_placed_at_another_models_cost(world):
    for arm in ("baseline", "swat"):
        world.train(arm=arm, params=999)
    world.cost()
    (section,) = world.gather()
    assert [(point.params, point.cost) for point in points(section)] == [(999, None)] * 2


def test_what_is_tipped_can_be_focused_and_says_its_text_in_the_file():
    texts = ['<a & "b">\nsecond line', "\x00 $\\alpha$ --> é"]

    def paint(axes):
        (line,) = axes.plot([0, 1], [0, 1], marker="o")
        tip(line, texts[0])
        tip(axes.errorbar(0.5, 0.5, yerr=0.1, fmt="o"), texts[1])

    drawing = draw("f", paint, legend=[Line2D([], [], label="x" * 99)], title="T.", caption="", alt="")
    assert drawing.tipped
    for text in (drawing.svg, drawing.inline()):
        groups = [group for group in ET.fromstring(text).iter() if group.get("class") == "tip"]
        told = [texts[0], "  $\\alpha$ --> é"]
        assert [group.get("aria-label") for group in groups] == told
        assert [group[0].text for group in groups] == told
        assert {group.get("tabindex") for group in groups} == {"0"}
        assert not any(group.get("id") for group in groups)
    # A title of the whole drawing would be the text that is shown wherever the page's reader points.
    assert drawing.inline().count("<title>") == 2


def test_names_that_are_long_are_cut():
    assert short("x" * 26) == "x" * 26
    assert short("x" * 27) == "x" * 25 + "…"


def test_every_figure_that_is_drawn_from_values_tells_them(world):
    for arm in ("baseline", "swat"):
        world.train(arm=arm)
    detail(world.cost(full=True, sweep=(1, 16)))
    drawn = {drawing.name: drawing.svg.count('class="tip"') for drawing in figures(world.gather()[0])}
    assert drawn["curves_accuracy"] == drawn["curves_loss"] == 6
    assert drawn["time_ratio"] == 2
    assert drawn["throughput_inference"] == 6
    assert drawn["roofline"] == 4
    assert drawn["breakdown"] == 16


def test_long_training_has_a_bounded_number_of_hover_texts():
    points = tuple(
        CurvePoint(epoch=e, step=e, loss=1.0, learning_rate=0.1, top1_percent=None, compute_s=1.0, data_s=0.0)
        for e in range(1, 901)
    )
    curve = Curve(pair="deit_mini", arm="swat", seed=0, is_reference=False, points=points)
    drawing = loss_curves([curve], {"deit_mini": Shade(colour=SERIES[0], dotted=False)}, "")
    assert drawing.svg.count('class="tip"') == 300
