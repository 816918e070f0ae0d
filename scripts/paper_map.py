"""Writes docs/paper-map.md: each mark of the paper, the code that computes it and the tests that hold it.

With `--check` it writes nothing and fails where the page is not what it would write.
"""

import ast
import sys
from pathlib import Path

from marks import SECTIONS, Mark, Section

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "paper-map.md"
HEAD = """\
# From the paper's marks to the code

Written by `python scripts/paper_map.py` from the table in [scripts/marks](../scripts/marks); edit that.

Letters as in the figures: B images, N = H·W tokens, C = c·h·w channels, h = w = alpha, E stem channels.
"Released code" stands where the figures leave something open and the authors' code decides it. Figure numbers
are those of arXiv 2111.13677.

Below each table stand the mistakes that were tried. For each of them some test of its row fails, and each
test of a row fails for some of them: `python scripts/mutate.py` makes them all in a copy and says so, as CI
does; with `--only "NAME"` it makes those of one row. Tests in brackets hold the row as well, but are slow;
only `--also` runs them against mistakes.
"""


def main() -> None:
    """Write the page, or compare it."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
    elif not PAGE.is_file() or PAGE.read_text() != text:
        sys.exit(f"{PAGE.relative_to(ROOT)} is stale: run python scripts/paper_map.py")


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(section) for section in SECTIONS)])


def find_symbol(dotted: str) -> Path:
    """The file in which a dotted name is defined.

    Raises:
        LookupError: No module of ours has it.
    """
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count]).with_suffix(".py")
        if path.is_file():
            if not _defines(ast.parse(path.read_text()).body, parts[count:]):
                break
            return path
    raise LookupError(f"no module defines {dotted}")


def find_test(test: str) -> Path:
    """The file of a test's id.

    Raises:
        LookupError: There is no such test.
    """
    file, name = _split(test)
    path = ROOT / file
    if not path.is_file() or not _defines(ast.parse(path.read_text()).body, [name]):
        raise LookupError(f"no test {test}")
    return path


def _defines(body: list[ast.stmt], parts: list[str]) -> bool:
    """Whether statements define a function, class or value, and it the next one, and so on."""
    if not parts:
        return True
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == parts[0]:
            return _defines(node.body, parts[1:])
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == parts[0] for target in targets):
            return len(parts) == 1
    return False


def _section(section: Section) -> str:
    rows = "\n".join(_row(mark) for mark in section.marks)
    tried = "\n".join(
        f"- *{mark.name}*: {'; '.join(dict.fromkeys(mutation.what for mutation in mark.mutations))}"
        for mark in section.marks
    )
    return (
        f"## {section.title}\n\n| | the mark | where | code | tests |\n|---|---|---|---|---|\n{rows}\n\n"
        f"Mistakes that were tried:\n\n{tried}\n"
    )


def _row(mark: Mark) -> str:
    code = "<br>".join(_link(dotted.partition("swatbench.")[2], find_symbol(dotted)) for dotted in mark.code)
    tests = [_link(_split(test)[1], find_test(test)) for test in _whole(mark.tests)]
    slow = [f"({_link(_split(test)[1], find_test(test))})" for test in mark.also]
    return f"| {mark.name} | {mark.mark} | {mark.where} | {code} | {'<br>'.join([*tests, *slow])} |"


def _whole(tests: tuple[str, ...]) -> list[str]:
    """Each test once, without its parameters."""
    return list(dict.fromkeys(test.split("[")[0] for test in tests))


def _split(test: str) -> tuple[str, str]:
    """File and name of a test's id."""
    file, _, name = test.partition("::")
    return file, name.split("[")[0]


def _link(text: str, path: Path) -> str:
    return f"[`{text}`](../{path.relative_to(ROOT).as_posix()})"


if __name__ == "__main__":
    main()
