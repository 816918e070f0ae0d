"""LaTeX as Debian's texlive-latex-recommended compiles it."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from swatbench.report.page import render
from swatbench.report.table import Column, make_table
from swatbench.report.tex import SIZES, tex_size, tex_text
from swatbench.report.tex_text import KNOWN, escape_tex
from tests.report.measured import detail

HOSTILE = (
    r"\input{/etc/passwd} \end{tabular} $x_1^2$ & % # ~ {} --flag [x] *y* `q` \"q\" |a| <b> \write18{ls}",
    "[starts a row",
    "* starts a row",
    "× µ − – → ± ² “quotes” ‘single’ αβγ ΔΩ é ñ Å ł ß",
    "中文 😀 \u202eabc\u200b \x00\x07\x1b e\u0301 \N{NO-BREAK SPACE} № ½ ﬁ ¹²³",
)
PREAMBLE = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"


@pytest.fixture(scope="module")
def latex():
    path = shutil.which("pdflatex")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no pdflatex; `.ci/run` installs Debian's package texlive-latex-recommended")
        pytest.skip("no pdflatex is installed (Debian's package texlive-latex-recommended)")

    def run(folder, name):
        command = [path, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", name]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
        log = (folder / name).with_suffix(".log").read_text(errors="replace")
        assert done.returncode == 0, "\n".join(re.findall(r"^!.*(?:\n.*){6}", log, flags=re.MULTILINE))
        return log

    return run


def compiled(latex, folder, body):
    (folder / "t.tex").write_text(f"{PREAMBLE}{body}\n\\end{{document}}\n")
    return latex(folder, "t.tex")


def test_every_table_of_a_report_compiles_and_so_does_the_whole(latex, world):
    for arm in ("baseline", "swat"):
        world.train(arm=arm)
    detail(world.cost(full=True, sweep=(1, 16)))
    world.fail(message=HOSTILE[0])
    world.machine = "another"
    world.train(arm="baseline")
    folder = render(world.results, world.results.parent / "reports", world.suite).parent
    tables = sorted(path.stem for path in (folder / "tables").glob("*.tex"))
    compiled(latex, folder, "\n\n".join(f"\\input{{tables/{name}}}" for name in tables))
    log = latex(folder, "report.tex")
    told = (folder / "report.tex").read_text()
    figures = {path.stem for path in (folder / "figures").glob("*.pdf")}
    assert set(re.findall(r"\\drawing\{([^}]+)\}", told)) == figures
    assert len(figures) > 8
    assert set(re.findall(r"\\whole\{[^}]+\}\{(\w+)\}", told)) <= set(tables)
    assert "Missing character" not in log
    # Nothing runs over the edge of a page by more than a letter.
    assert [float(pt) for pt in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log) if float(pt) > 10] == []


def test_hostile_text_compiles_in_every_place(latex, tmp_path):
    columns = (
        Column(name="text", title=HOSTILE[0]),
        Column(name="prose", title="[Prose", prose=True),
        Column(name="links", title="Records", links=True),
    )
    rows = [{"machine": name, "text": text, "prose": text, "links": ()} for name in "ab" for text in HOSTILE]
    text = tex_text(make_table("t", HOSTILE[0], "", columns, rows))
    assert "Records" not in text
    compiled(latex, tmp_path, text)


def test_every_character_compiles(latex, tmp_path):
    every = [chr(code) for code in range(1, sys.maxunicode) if code < 0x3000 or code % 4099 == 0]
    written = {escape_tex(char) for char in every if not 0xD800 <= ord(char) < 0xE000}
    # What has a sign of its own or an accent; the rest are letters and numbers in brackets.
    signs = sorted(text for text in written if not re.fullmatch(r"\{\[\}U\+[0-9A-F]+\]|[\x20-\x7e]?", text))
    assert len(signs) > 500
    assert all(text.isascii() for text in written)
    log = compiled(latex, tmp_path, "\n\n".join((*signs, r"{[}U+4E2D]", *map(escape_tex, KNOWN))))
    assert "Missing character" not in log


def test_what_characters_become():
    assert escape_tex("a--b---c") == "a-{}-b-{}-{}-c"
    assert escape_tex("10³ × x₂ ½ ﬁ") == "10$^{3}$ $\\times$ x$_{2}$ 1/2 fi"
    assert escape_tex("中가") == "{[}U+4E2D]{[}U+AC00]"
    assert escape_tex("e\u0301 \u1ebf") == r"\'{e} \'{\^{e}}"
    assert escape_tex("\x00\x1b\u200b") == "  "


def test_wide_tables_take_smaller_letters():
    def size(count):
        columns = tuple(Column(name=f"c{place}", title=f"Column {place}") for place in range(count))
        row = {"machine": "m", **{f"c{place}": "twelve chars" for place in range(count)}}
        return tex_size(make_table("t", "T", "", columns, [row]))

    order = [name for name, _ in SIZES]
    places = [order.index(size(count)) for count in (3, 12, 14, 30)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, len(SIZES) - 1)
