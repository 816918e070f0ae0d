import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from swatbench.errors import StoreError
from swatbench.report.groups import grouped
from swatbench.report.page import render
from tests.report.measured import detail

HOSTILE = '<script>alert(1)</script> "quoted" & =1+1'


class Page(HTMLParser):
    """Collects what a test asks of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def attribute(self, tag, name):
        return [found[name] for kind, found in self.tags if kind == tag and name in found]


def report(world):
    path = render(world.results, world.results.parent / "reports", world.suite)
    return path, Page(path.read_text())


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_is_whole_and_says_what_was_found(world):
    world.quickstart()
    path, page = report(world)
    assert path == world.results.parent / "reports" / "toy" / "index.html"
    assert "+9.8 points top-1" in page.text
    assert "(95 % CI 0.2 to 19.3, 2 seeds), not decided among 2 comparisons, 1.16 × MACs" in page.text
    assert "One MAC is" in page.text
    assert "one forward pass on a resident batch" in page.text
    assert "10 cells finished, 0 failed" in page.text
    assert "2025-03-01 12:10 UTC" in page.text
    assert len(page.attribute("svg", "viewbox")) == 10
    markdown = (path.parent / "report.md").read_text()
    assert "**+9.8 points top-1**" in markdown


def test_the_page_asks_nothing_of_the_network(world):
    world.quickstart()
    path, page = report(world)
    kinds = {tag for tag, _ in page.tags}
    assert not kinds & {"link", "img", "iframe", "object", "embed"}
    assert page.attribute("script", "src") == []
    assert not re.search(r"@import|url\((?!#)", path.read_text())
    for href in page.attribute("a", "href"):
        assert ":" not in href


def test_every_link_leads_to_a_file(world):
    world.quickstart()
    path, page = report(world)
    links = page.attribute("a", "href")
    assert sum(link.endswith("record.json") for link in links) > 40
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for link in links:
        if link.startswith("#"):
            assert link[1:] in ids, link
        else:
            assert (path.parent / unquote(link)).is_file(), link


def test_equal_records_give_equal_bytes_and_stale_files_go(world):
    world.quickstart()
    path, _ = report(world)
    before = contents(path.parent)
    (path.parent / "figures" / "gone.svg").write_text("old")
    (path.parent / "figures" / "notes.txt").write_text("mine")
    path, _ = report(world)
    after = contents(path.parent)
    assert after.pop((path.parent / "figures" / "notes.txt").relative_to(path.parent)) == b"mine"
    assert after == before


def test_hostile_text_is_harmless_everywhere(world):
    world.train()
    world.fail(message=HOSTILE)
    path, page = report(world)
    assert HOSTILE in page.text
    assert "<script>alert" not in path.read_text()
    assert "<script>" not in (path.parent / "report.md").read_text()


def test_only_failures(world):
    world.fail(message="loss is not finite")
    _, page = report(world)
    assert "No cell has finished." in page.text
    assert "loss is not finite" in page.text
    assert "0 cells finished, 1 failed" in page.text
    assert page.attribute("svg", "viewbox") == []


def test_a_damaged_record_is_listed_and_skipped(world):
    world.quickstart()
    broken = world.train(arm="swat", seed=1, percent=46.5)
    (broken / "record.json").write_text('{"schema_version": 1,')
    path, page = report(world)
    assert "1 damaged record skipped" in page.text
    assert "Damaged records" in page.text
    assert broken.name in (path.parent / "tables" / "damaged.csv").read_text()
    assert "1 seed), not decided across seeds" in page.text


def test_only_a_damaged_record(world):
    (world.train() / "record.json").write_text("")
    _, page = report(world)
    assert "No cell has a readable record" in page.text


def test_refusals_and_older_records_are_told(world):
    world.train(arm="baseline")
    world.train(arm="swat", recipe={"epochs": 5})
    world.train(arm="baseline", recipe={"learning_rate": 0.5})
    _, page = report(world)
    assert "No two arms of a pair could be compared." in page.text
    assert "epochs: 3 and 5" in page.text
    assert "another configuration" in page.text
    assert "2 cells finished, 0 failed, 1 left out" in page.text


def test_each_machine_has_its_section_and_figures(world):
    world.quickstart()
    world.machine = "another-cpu"
    world.quickstart(seeds=(0,))
    path, page = report(world)
    assert "Machine another-cpu" in page.text
    assert (path.parent / "figures" / "accuracy_macs-another-cpu.svg").is_file()
    text = (path.parent / "tables" / "means.csv").read_text()
    assert "another-cpu,deit_mini,baseline,1," in text
    assert "some-cpu-2-cores,deit_mini,baseline,2," in text


def test_the_description_is_that_of_the_last_run(world):
    world.ask(world.train(), description="Does structure help? <b>")
    path, page = report(world)
    assert "Does structure help? <b>" in page.text
    assert "&lt;b&gt;" in path.read_text()


def test_after_a_b_a_the_page_shows_a(world):
    first = [world.train(arm=arm, percent=p) for arm, p in (("baseline", 50.0), ("swat", 60.0))]
    for arm in ("baseline", "swat"):
        world.train(arm=arm, recipe={"epochs": 9}, percent=20.0)
    world.ask(*first)
    path, page = report(world)
    assert "+10.0 points top-1" in page.text
    assert "2 cells finished, 0 failed, 2 left out" in page.text
    assert "2025-03-01 12:02 UTC" in page.text.split("Cells")[0]
    left_out = (path.parent / "tables" / "left_out.csv").read_text()
    assert left_out.count("not asked for by the suite as it is now") == 2
    assert not any(folder.name in left_out for folder in first)


def test_counters_that_disagree_are_marked_everywhere(world):
    world.cost(disagree=("swat",))
    path, page = report(world)
    markdown = (path.parent / "report.md").read_text()
    for text in (page.text, markdown):
        assert "1.16 × MACs (counters disagree)" in text
        assert "M (counters disagree)" in text
        assert "both agreed where nothing is marked" in text


def test_versions_that_differ_are_told_beside_the_difference(world):
    world.train(arm="baseline")
    packages = {"torch": "2.8.0", "timm": "1.0.31"}
    world.environment = world.environment.model_copy(update={"packages": packages})
    world.train(arm="swat", percent=60.0)
    path, page = report(world)
    told = "made with different versions: torch 2.15.0 and 2.8.0"
    for text in (page.text, (path.parent / "report.md").read_text()):
        assert text.count(told) == 2
    assert told in (path.parent / "tables" / "across_seeds.csv").read_text()


def test_the_page_reads_on_narrow_screens_in_the_dark_and_on_paper(world):
    world.quickstart()
    path, page = report(world)
    text = path.read_text()
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    labels = page.attribute("div", "aria-label")
    assert sum("Top-1 accuracy, % against" in label for label in labels) == 7
    assert page.attribute("th", "scope") == ["col"] * len(page.attribute("th", "scope"))


def test_which_weights_were_tested_is_said_wherever_accuracy_is(world):
    for arm in ("baseline", "swat"):
        world.train(arm=arm, ema=True)
    world.cost()
    path, page = report(world)
    told = "Accuracies are those of the moving average of the weights (EMA)."
    # Under the sentences, in seven figures of accuracy against cost, and above four tables.
    assert page.text.count(told) == 12
    assert (path.parent / "report.md").read_text().count(told) == 12


def test_records_of_layout_1_are_still_reported(world):
    for arm, percent in (("baseline", 50.0), ("swat", 60.0)):
        folder = world.train(arm=arm, percent=percent)
        record = json.loads((folder / "record.json").read_text())
        for name in ("weights", "evaluated", "data_s", "processes"):
            del record["train"][name]
        for name in ("speed", "micro_batch_size", "streams"):
            del record["cell"][name]
        for name in ("micro_batch_size", "learning_rate_scaling", "learning_rate_batch_size", "ema"):
            del record["cell"]["recipe"][name]
        del record["evaluation"]
        (folder / "record.json").write_text(json.dumps({**record, "schema_version": 1}))
    path, page = report(world)
    assert "+10.0 points top-1 (95 % CI on these images alone" in page.text
    assert "2 cells finished, 0 failed" in page.text
    assert "damaged" not in page.text
    tests = (path.parent / "tables" / "evaluations.csv").read_text().splitlines()
    assert tests[1].startswith("some-cpu-2-cores,deit_mini,baseline,0,test,raw,400,200,50.0,75.0,1.4,,")


def test_a_suite_without_results_is_an_error(world):
    with pytest.raises(StoreError, match="no results of suite 'toy'"):
        render(world.results, world.results.parent / "reports", "toy")


def test_a_report_that_cannot_be_written_is_an_error(world):
    world.train()
    (world.results.parent / "reports").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        render(world.results, world.results.parent / "reports", "toy")


def test_what_the_profiler_can_tell_stands_once_above_the_sentences(world):
    detail(world.cost())
    path, page = report(world)
    markdown = path.with_name("report.md").read_text()
    for text in (page.text, markdown):
        chapter = text.partition("In which operators the arms differ")[2]
        assert chapter.lstrip().startswith("By torch.profiler, one process per arm.")


@pytest.mark.parametrize("count", [0, 2, 5])
def test_records_of_a_sentence_stand_below_it(world, monkeypatch, count):
    links = tuple((f"seed {n} <i>", f"cells/{n}/record.json") for n in range(count))
    parts = {"effect": "+1", "support": "none", "tests": "", "unlike": "", "records": links}
    claim = SimpleNamespace(subject='p "<b>: swat', **parts)
    monkeypatch.setattr("swatbench.report.chapters.claims", lambda *_: (claim,))
    world.train()
    path = render(world.results, world.results.parent / "reports", world.suite)
    page = Page(path.read_text())
    assert {href for _, href in links} <= set(page.attribute("a", "href"))
    assert ("Records: seed 0 <i>" in page.text) == (count == 2)
    assert ("Records (5)" in page.text) == (count == 5)
    assert "#claim-p-b-swat" in page.attribute("a", "href")
    markdown = path.with_name("report.md").read_text()
    assert markdown.count("/record.json)") - markdown.count("results/") == count


def test_every_table_stands_in_one_group_of_the_page(world):
    world.quickstart()
    found = grouped(world.gather(), lambda _: "record.json")
    names = [table.name for one in found for table in (*one.tables, *one.folded)]
    assert len(names) == len(set(names)) > 20
    _, page = report(world)
    ids = page.attribute("section", "id") + page.attribute("details", "id")
    assert {"shows", "accuracy", "cost", "made", "numbers", "table-means", "table-cells"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert [href for href in page.attribute("a", "href") if href.startswith("#")][1:6] == [
        "#shows",
        "#against",
        "#accuracy",
        "#cost",
        "#made",
    ]
