"""Sections → chapters of the page: what each machine's records say, and the names that lead there."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swatbench.report import words
from swatbench.report.axes import BY_NAME
from swatbench.report.breakdowns import difference_sentences
from swatbench.report.canvas import Drawing
from swatbench.report.departures import departures
from swatbench.report.energies import why_no_energy
from swatbench.report.figures import begun_figures
from swatbench.report.frontiers import on_frontier
from swatbench.report.points import Point
from swatbench.report.section import Section
from swatbench.report.segmenting import heads_in_words
from swatbench.report.sentences import Sentence, claims, setting_in_words
from swatbench.report.tables import Link
from swatbench.report.weights import told


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One machine's part of the page.

    Attributes:
        machine: Name of the machine's folder.
        mark: End of its names of files and addresses; an empty text where there is one machine.
        sentences: What each comparison says.
        setting: What the cost in the sentences was taken at, or an empty text.
        silence: Why there is no sentence, where there is none.
        weights: Which weights the accuracies are of, or an empty text.
        departures: Settings of pairs that are not the catalogue's, or an empty text.
        frontier: Arms that no other beats in both accuracy and MACs, or an empty text.
        score: What that accuracy is called.
        spent: Where an arm spends its time otherwise than its reference.
        energy: Why no energy was measured, or an empty text.
        figures: Drawings.
    """

    machine: str
    mark: str
    sentences: tuple[Sentence, ...]
    setting: str
    silence: str
    weights: str
    departures: str
    frontier: str
    score: str
    spent: tuple[str, ...]
    energy: str
    figures: tuple[Drawing, ...]


def begun_chapters(found: Sequence[Section], link: Link) -> Callable[[], tuple[Chapter, ...]]:
    """Begin one chapter for each machine, whose figures take longest; what is returned waits for them.

    Args:
        found: Sections, one a machine.
        link: Record → its address.
    """
    # The store takes no name of a machine that would not do in an address.
    marked = [(section, "" if len(found) == 1 else f"-{section.machine}") for section in found]
    drawn = begun_figures(marked)

    def results() -> tuple[Chapter, ...]:
        return tuple(
            _chapter(section, mark, link, drawings)
            for (section, mark), drawings in zip(marked, drawn(), strict=True)
        )

    return results


def anchor(text: str) -> str:
    """Text as a part of an address: letters, digits, `_`, `.` and `-`.

    Example:
        >>> anchor('deit_mini: swat against "baseline"')
        'deit_mini-swat-against-baseline'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")


def _chapter(section: Section, mark: str, link: Link, drawings: tuple[Drawing, ...]) -> Chapter:
    best = on_frontier(section, BY_NAME["macs"])
    return Chapter(
        machine=section.machine,
        mark=mark,
        sentences=claims(section, link),
        setting=setting_in_words(section),
        silence=_silence(section),
        weights=told(section.pairs),
        departures=words.listed([*departures(section)]),
        frontier=_frontier(best) if len(best) > 1 else "",
        score=section.metric.noun,
        spent=difference_sentences(section),
        energy=why_no_energy(section),
        figures=drawings,
    )


def _frontier(best: Sequence[Point]) -> str:
    heads = heads_in_words(stored.record.cell for point in best for stored in point.records)
    # Of segmenters, heads differ between families, and a ranking is of one head.
    among = f" (of those alike, {heads[0].lower()}{heads[1:-1]})" if heads else ""
    return f"{words.listed([point.name for point in best])}{among}"


def _silence(section: Section) -> str:
    if section.reported:
        return "No two arms of a pair could be compared."
    return "No cell that is asked for has finished." if section.left_out else "No cell has finished."
