"""The page as people meet it: a headless Chromium, without a network."""

import json
import os
import re
import shutil

import pytest

from swatbench.report.page import render
from tests.report.conftest import World
from tests.report.measured import detail

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> $\\frac_{x}$ \"'"
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAPER_PX = 1024
"""Width of what is printed on a landscape A4 page, at 96 pixels an inch."""
SCHEMES = ("light", "dark")
ALIKE = """
for (const row of document.querySelectorAll("tbody tr:nth-child(n + 3)")) row.remove();
for (const part of document.querySelectorAll("svg path, svg g:not(.tip):not(:has(.tip))")) part.remove();
"""
"""Removes what is like what stays: axe takes long over each of thousands of cells and strokes."""


@pytest.fixture(scope="module")
def browser():
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    path = next(filter(None, found), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium; `.ci/run` installs Debian's package chromium")
        pytest.skip("no Chromium is installed (Debian's package chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A page of one machine with everything that can be measured."""
    world = World(results=tmp_path_factory.mktemp("whole") / "results")
    for arm in ("baseline", "swat"):
        world.train(arm=arm, ema=True, percent=55.0 if arm == "swat" else 48.0)
    world.train("mixer_mini", "baseline")
    world.train("mixer_mini", "swat", recipe={"epochs": 5})
    detail(world.cost(full=True, sweep=(1, 16)))
    world.cost("mixer_mini", macs=9_000_000)
    return render(world.results, world.results.parent / "reports", world.suite)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A page of two machines, whose records try to be markup."""
    world = World(results=tmp_path_factory.mktemp("hostile") / "results")
    world.ask(world.train(), description=HOSTILE)
    world.fail(message=HOSTILE)
    world.machine = "another"
    world.environment = world.environment.model_copy(
        update={"processor": HOSTILE, "packages": {HOSTILE: "1"}}
    )
    named = [world.train(arm=arm, seed=seed) for arm in ("baseline", "swat") for seed in (0, 1)]
    for record in (folder / "record.json" for folder in (*named, world.cost())):
        record.write_text(record.read_text().replace('"deit_mini"', json.dumps(HOSTILE)))
    broken = world.train(seed=2)
    (broken / "record.json").write_text(HOSTILE)
    return render(world.results, world.results.parent / "reports", world.suite)


class Seen:
    """A page and what it said or asked for."""

    def __init__(self, browser, path, *, width=1400, scheme="light", touch=False) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, has_touch=touch
        )
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.address = path.as_uri()
        self.page.goto(self.address)

    def __enter__(self):
        return self.page

    def __exit__(self, kind, *_):
        self.context.close()
        if kind is None:
            assert self.said == []
            assert {asked.partition("#")[0] for asked in self.asked} == {self.address}

    def open_all(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")


def keys(page, table, place):
    cells = page.locator(f"#table-{table} tbody tr td:nth-child({place})")
    return cells.evaluate_all("cells => cells.map(cell => cell.dataset.key)")


@pytest.mark.parametrize("name", ["whole", "hostile"])
def test_the_page_is_quiet_fits_every_width_and_passes_axe(browser, request, name):
    from axe_playwright_python.sync_playwright import Axe

    seen = Seen(browser, request.getfixturevalue(name), width=390)
    with seen as page:
        seen.open_all()
        for width in (390, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate("document.documentElement.scrollWidth") == width
        page.evaluate(ALIKE)
        # All rules in the dark; in the light the one that colours decide.
        for rules in ({}, {"runOnly": ["color-contrast"]})[: 2 if name == "whole" else 1]:
            results = Axe().run(page, options={"resultTypes": ["violations"], **rules})
            assert results.violations_count == 0, results.generate_report()
            page.emulate_media(color_scheme="light")


def test_hostile_records_run_no_script(browser, hostile):
    with Seen(browser, hostile) as page:
        assert page.evaluate("window.hacked") is None
        assert page.locator("img").count() == 0
        assert HOSTILE in page.inner_text("body")
        assert HOSTILE in page.inner_text("#claims-another")
        for figure in page.locator("figure").all():
            assert re.fullmatch(r"figure-[\w.-]+", figure.get_attribute("id"))
    with Seen(browser, hostile.parent / "figures" / "time_ratio-another.svg") as page:
        assert page.evaluate("window.hacked") is None
        assert HOSTILE in page.text_content(".tip title")


def test_tables_sort_by_mouse_and_keyboard(browser, whole):
    with Seen(browser, whole) as page:
        table = page.locator("#table-cost")
        heads = table.locator("th").all_inner_texts()
        place = heads.index("MACs an image") + 1
        before = keys(page, "cost", place)
        numbers = sorted(map(int, before))
        assert list(map(str, numbers)) != sorted(before)  # else text would sort alike
        head = table.locator("th").nth(place - 1)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert list(map(int, keys(page, "cost", place))) == numbers
        assert page.inner_text("#told") == "Sorted by MACs an image, ascending."
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert list(map(int, keys(page, "cost", place))) == numbers[::-1]
        table.locator("th button").first.focus()
        page.keyboard.press("Space")
        assert head.get_attribute("aria-sort") is None
        assert keys(page, "cost", 1) == sorted(keys(page, "cost", 1))


def test_what_is_absent_sorts_last_both_ways(browser, whole):
    with Seen(browser, whole) as page:
        heads = page.locator("#table-ratios th").all_inner_texts()
        place = heads.index("A/A floor") + 1
        for _ in range(2):
            page.locator("#table-ratios th button").nth(place - 1).click()
            found = keys(page, "ratios", place)
            assert "" in found
            assert found == [key for key in found if key] + [key for key in found if not key]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_mark_tells_its_value_when_it_is_pointed_at_or_focused(browser, whole, scheme):
    with Seen(browser, whole, scheme=scheme) as page:
        marks = page.locator("#figure-time_ratio .tip")
        assert marks.count() == 4
        tooltip = page.locator("#tooltip")
        assert tooltip.is_hidden()
        marks.first.hover()
        assert "deit_mini, swat, forward pass" in tooltip.inner_text()
        assert "× the reference's time" in tooltip.inner_text()
        assert "95 % CI" in tooltip.inner_text()
        page.mouse.move(5, 5)
        assert tooltip.is_hidden()
        marks.first.focus()
        assert "forward pass" in tooltip.inner_text()
        page.keyboard.press("ArrowDown")
        assert "training step" in tooltip.inner_text()
        page.keyboard.press("Escape")
        assert tooltip.is_hidden()
        # What is focused may have to be scrolled into sight first.
        page.evaluate("scrollTo(0, 0)")
        page.locator("#figure-breakdown .tip").last.focus()
        page.wait_for_timeout(700)
        assert "% of the reference's call" in tooltip.inner_text()
        # One stop of the tabulator for each figure, not one for each mark.
        assert page.locator("#figure-time_ratio .tip[tabindex='0']").count() == 1


def test_on_a_phone_a_tap_tells_the_value_inside_the_screen(browser, whole):
    with Seen(browser, whole, width=390, touch=True) as page:
        for figure in page.locator("figure:has(.tip)").all():
            for mark in (figure.locator(".tip").first, figure.locator(".tip").last):
                mark.scroll_into_view_if_needed()
                page.wait_for_timeout(60)  # until the scroll, which hides what is shown, has been told
                at = mark.bounding_box()
                page.touchscreen.tap(at["x"] + at["width"] / 2 + 6, at["y"] + at["height"] / 2)
                box = page.locator("#tooltip").bounding_box()
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= 390
                assert box["y"] >= 0
        page.touchscreen.tap(5, 5)
        assert page.locator("#tooltip").is_hidden()


def test_an_address_opens_what_is_folded(browser, whole):
    with Seen(browser, whole) as page:
        table = page.locator("#table-accuracy")
        assert table.get_attribute("open") is None
        page.evaluate("location.hash = '#table-accuracy'")
        page.wait_for_function("document.getElementById('table-accuracy').open")
        for link in page.locator("nav a").all():
            assert page.locator(link.get_attribute("href")).count() == 1


def test_without_script_the_page_still_reads(browser, whole):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(whole.as_uri())
    assert page.locator("th button").count() == 0
    assert page.locator("#hint").is_hidden()
    assert page.locator("nav a").count() > 4
    assert page.locator("svg .tip title").count() > 10
    context.close()


def test_on_paper_everything_is_open_and_no_table_is_cut(browser, whole):
    with Seen(browser, whole, width=PAPER_PX) as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= PAPER_PX
        for box in page.locator(".scroll").all():
            assert box.evaluate("box => box.firstElementChild.offsetWidth - box.clientWidth") <= 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() > 5
        paper = page.pdf(prefer_css_page_size=True)
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper)
    assert len(boxes) > 5
    assert {(round(float(width)), round(float(height))) for width, height in boxes} == {(842, 595)}
