import csv
import io
import re

import pytest

from swatbench.report.export import csv_text, escape_markdown, markdown_text
from swatbench.report.table import MOST_SHOWN, Column, make_table
from swatbench.report.tex import tex_text
from swatbench.report.tex_text import escape_tex
from swatbench.report.words import decimal

HOSTILE = ["=1+1", "+A1", "-2", "@sum", "\tx", 'say "hi", twice\n|<b>&_%$#{}~^\\']


def table(machines=("m",)):
    columns = (
        Column(name="text", title="Text_%"),
        Column(name="value", title="Value", show=decimal, numeric=True),
        Column(name="words", title="Words", shown_only=True),
    )
    rows = [
        {"machine": machine, "text": text, "value": -1.25, "words": "w"}
        for machine in machines
        for text in HOSTILE
    ]
    return make_table("t", "T", "", columns, rows)


def test_csv_holds_raw_values_and_no_formula():
    rows = list(csv.DictReader(io.StringIO(csv_text(table()))))
    assert list(rows[0]) == ["machine", "text", "value"]
    on_one_line = [" x", HOSTILE[5].replace("\n", " ")]
    assert [row["text"] for row in rows] == [f"'{text}" for text in HOSTILE[:4]] + on_one_line
    assert {row["value"] for row in rows} == {"-1.25"}


@pytest.mark.parametrize("machines", [("m",), ("m", "n")])
def test_tex_is_well_formed(machines):
    text = tex_text(table(machines))
    lines = text.splitlines()
    assert lines[1] == ("\\begin{tabular}{lrl}" if machines == ("m",) else "\\begin{tabular}{llrl}")
    assert lines[2:5:2] == ["\\toprule", "\\midrule"]
    assert lines[-2:] == ["\\bottomrule", "\\end{tabular}"]
    body = lines[3:4] + lines[5:-2]
    assert len(body) == 1 + len(HOSTILE) * len(machines)
    for line in body:
        assert line.endswith(r" \\")
        assert len(re.findall(r"(?<!\\)&", line)) == (2 if machines == ("m",) else 3)
        bare = re.sub(r"\\[&%$#_{}]|\\text\w+\{\}|\$-\$|\$\\\w+\$", "", line.removesuffix(r"\\"))
        assert not re.search(r"[%$#_{}~^\\]", bare), bare


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a;=1", "a;'=1"),
        ("a; -1", "a; '-1"),
        (" =1", " '=1"),
        ("\n\t@x", " '@x"),
        ("\uff1d1", "'\uff1d1"),
        ("a-b", "a-b"),
        ("a; b", "a; b"),
        ("\u221212.3", "\u221212.3"),
    ],
)
def test_csv_has_an_apostrophe_wherever_a_formula_would_begin(text, kept):
    made = make_table("t", "T", "", (Column(name="text", title="T"),), [{"machine": "m", "text": text}])
    ((_, row),) = list(csv.reader(io.StringIO(csv_text(made))))[1:]
    assert row == kept


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("# a", r"\# a"),
        ("- a", r"\- a"),
        ("1. a", r"1\. a"),
        ("~~~", r"\~\~\~"),
        ("===", r"\==="),
        ("_a_ b_c", r"\_a\_ b_c"),
        ("http://a www.b", r"http:\//a www\.b"),
        ("+7.0 points, 1.5 s", "+7.0 points, 1.5 s"),
    ],
)
def test_markdown_begins_nothing_of_its_own(text, written):
    assert escape_markdown(text) == written


def test_escapes():
    assert escape_tex("1.2 × −3 – x") == r"1.2 $\times$ $-$3 -- x"
    assert escape_tex("\\") == r"\textbackslash{}"
    assert escape_markdown("[a](javascript:x)\n*b*") == r"\[a\](javascript:x) \*b\*"


def test_markdown_rows_keep_their_columns():
    for line in markdown_text(table()).splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) == 4
    assert "| −1.2 |" in markdown_text(table())


def linked(links):
    columns = (Column(name="text", title="Text"), Column(name="records", title="Records", links=True))
    return make_table("t", "T", "", columns, [{"machine": "m", "text": "a", "records": links}])


def test_several_links_are_shown_in_each_format():
    found = linked((("seed 0", "a/record.json"), ("seed|1", "b/record.json")))
    ((_, view),) = found.views()
    assert view.links == (("seed 0", "a/record.json"), ("seed|1", "b/record.json"))
    assert (view.text, view.key, view.link) == ("seed 0 seed|1", "2", None)
    assert "| a | [seed 0](a/record.json) [seed\\|1](b/record.json) |" in markdown_text(found)
    assert csv_text(found) == "machine,text,records\nm,a,a/record.json b/record.json\n"
    assert "\\begin{tabular}{l}\n\\toprule\nText \\\\\n" in tex_text(found)
    for nothing in ((), None):
        ((_, view),) = linked(nothing).views()
        assert (view.text, view.links, view.key) == ("–", (), "")
        assert csv_text(linked(nothing)) == 'machine,text,records\nm,a,""\n'.replace('""', "")


def test_long_tables_are_cut_everywhere_but_in_csv():
    shown = []
    columns = (
        Column(name="value", title="Value", numeric=True, show=lambda value: shown.append(value) or "v"),
    )
    rows = [
        {"machine": name, "value": value}
        for name, count in (("a", 20_000), ("b", 3))
        for value in range(count)
    ]
    found = make_table("t", "T", "", columns, rows)
    told = f"{MOST_SHOWN} of 20,000 rows; all are in the CSV file."
    assert (found.count("a"), found.rest("a"), found.rest("b")) == (20_000, told, "")
    assert len(found.views("a")) == MOST_SHOWN
    assert shown == list(range(MOST_SHOWN))
    assert markdown_text(found, "a").endswith(f"\n\n{told}")
    assert len(csv_text(found).splitlines()) == 20_004
    text = tex_text(found)
    assert (
        f"% T. Needs \\usepackage{{booktabs}}. {MOST_SHOWN + 3} of 20,003 rows; all are in the CSV file.\n"
        in text
    )
    assert text.count("v \\\\\n") == MOST_SHOWN + 3
