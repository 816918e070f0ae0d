"""Comparisons → sentences: the effect and its interval first, and always how many seeds it rests on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from swatbench.report import words
from swatbench.report.comparison import Comparison
from swatbench.report.conditions import MEMORY_KINDS, is_plain
from swatbench.report.cost_words import cost_in_words, joined
from swatbench.report.costs import measurements
from swatbench.report.effect_words import effect_in_words, tests_in_words
from swatbench.report.families import Adjusted, families
from swatbench.report.record_links import records_of
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.report.settling import same_in_words
from swatbench.report.tables import Link

MAC = (
    "One MAC is one multiplication with one addition; MACs are those of one image's forward pass, counted by "
    "fvcore with attention, norms and pooling included. A second counter, torch's, was compared with it on "
    "the convolutions and matrix products of every arm that was measured; both agreed where nothing is "
    "marked “counters disagree”."
)
"""What is counted, and by what it was checked."""

_LATENCY = "latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What one comparison says, in the order in which it is read.

    Attributes:
        subject: Pair and arm.
        effect: The difference in accuracy, or what stands in its place: where nothing is trained, the ratio
            of latency.
        support: The effect's interval and what it rests on, then what the arm costs.
        tests: p values and further intervals, or an empty text.
        unlike: In what versions and commits the two sides differ, or an empty text.
        records: Text and address of every record that it rests on.
    """

    subject: str
    effect: str
    support: str
    tests: str
    unlike: str
    records: tuple[tuple[str, str], ...] = ()


def claims(section: Section, link: Link | None = None) -> tuple[Sentence, ...]:
    """Say what each comparison of a section shows, in its usual setting unless it says otherwise.

    Args:
        section: The machine's section.
        link: Record → its address; None for sentences that lead nowhere.
    """
    trained = any(runs.trained for runs in section.pairs)
    trains = trained or any(stored.record.cell.get("kind") == "train" for stored in section.failed)
    usual = _usual(section)
    return tuple(
        replace(
            sentence(item, adjusted=adjusted, usual=usual, trains=trains, same=same_in_words(section, item)),
            records=_records(section, item, link) if link else (),
        )
        for item, adjusted in zip(section.comparisons, section.adjusted, strict=True)
    )


def setting_in_words(section: Section) -> str:
    """At what the costs were taken that the sentences tell, where there are any."""
    usual = _usual(section)
    return f"Cost at {usual}, unless said otherwise." if usual else ""


def sentence(
    item: Comparison,
    *,
    adjusted: Adjusted | None = None,
    usual: str | None = None,
    trains: bool = True,
    same: str = "",
) -> Sentence:
    """Say what one comparison shows.

    Args:
        item: The comparison.
        adjusted: Its p values, corrected for all comparisons; None where it stands alone.
        usual: Setting of a cost that needs no word; None where no setting is to be said.
        trains: Whether its suite trains models; else the time of a forward pass leads.
        same: Words on equivalence, or an empty text.
    """
    if adjusted is None:
        (adjusted,) = families([item])
    told, where = cost_in_words(item.cost) if item.cost else (), _where(item, usual)
    if item.accuracy and adjusted:
        effect = f"{words.signed(item.accuracy.seeds.points)} {item.accuracy.metric.points}"
        support, tests = effect_in_words(item.accuracy, adjusted), tests_in_words(item.accuracy, adjusted)
    elif trains or not told:
        effect, support, tests = "accuracy not compared", "", ""
    else:
        leading = next((index for index, part in enumerate(told) if part.what == _LATENCY), 0)
        head, bracket, rest = told[leading].text.partition(" (")
        effect, support, tests = f"{where}{head}", f"{bracket.lstrip()}{rest}", ""
        told, where = (*told[:leading], *told[leading + 1 :]), ""
    cost = f"{where}{joined(told)}" if told else "cost not compared"
    return Sentence(
        subject=f"{item.pair}: {item.arm} against {item.reference}",
        effect=effect,
        support=", ".join(filter(None, (support, same, cost))),
        tests=tests,
        unlike="; ".join(item.accuracy.unlike) if item.accuracy else "",
    )


def condition_in_words(section: Section) -> str:
    """In which condition the cost is that figures show; an empty text where there is but the usual one."""
    headlines: dict[str, list[str]] = {}
    for runs in section.pairs:
        if runs.measured is not None:
            headlines.setdefault(runs.measured.condition, []).append(runs.pair)
    every = [measured for runs in section.pairs for measured in runs.conditions]
    several = any(len({item.condition for item in runs.conditions}) > 1 for runs in section.pairs)
    if not several and len(headlines) < 2 and all(is_plain(measured.result) for measured in every):
        return ""
    told = [*headlines] if len(headlines) == 1 else [f"{c} ({words.listed(p)})" for c, p in headlines.items()]
    further = " Further conditions are in the tables." if several else ""
    return f"Cost is that in {words.listed(told)}.{further}"


def measured_in_words(costs: Iterable[Measured]) -> str:
    """What was timed and what memory means, as the records say it, each wording once."""
    texts = dict.fromkeys(
        f"Timed: {cost.result.measured.rstrip('.')}. Memory: {MEMORY_KINDS[cost.result.memory_kind]}."
        for cost in costs
    )
    return " ".join(texts)


def tally(sections: Sequence[Section], damaged: int) -> str:
    """How many cells finished, failed, were left out or are damaged."""
    finished = sum(len(section.reported) for section in sections)
    failed = sum(len(section.failed) for section in sections)
    left_out = sum(len(section.left_out) for section in sections)
    parts = [f"{words.count(finished, 'cell')} finished", f"{words.whole(failed)} failed"]
    parts += [f"{words.whole(left_out)} left out"] if left_out else []
    parts += [f"{words.count(damaged, 'damaged record')} skipped"] if damaged else []
    return ", ".join(parts)


def _usual(section: Section) -> str:
    """The setting of most comparisons, the first of them where several are as frequent."""
    settings = Counter(item.cost.setting for item in section.comparisons if item.cost)
    return max(settings, key=lambda setting: settings[setting], default="")


def _where(item: Comparison, usual: str | None) -> str:
    """What the cost was taken at, where it is not the only one or not the usual one."""
    if item.cost is None:
        return ""
    further = len(item.costs) - 1
    alike = len({cost.condition for cost in item.costs}) <= further
    noun = "further measurement" if alike else "further condition"
    others = f" ({words.count(further, noun)} in the table of ratios)" if further else ""
    if usual is not None and item.cost.setting != usual:
        return f"at {item.cost.setting}{others}: "
    return "" if item.cost.is_plain and not others else f"in {item.cost.condition}{others}: "


def _records(section: Section, item: Comparison, link: Link) -> tuple[tuple[str, str], ...]:
    measured = measurements(section, link)
    costs = tuple(
        ("cost" if len(item.costs) == 1 else f"cost {index}", measured[cost.record])
        for index, cost in enumerate(item.costs, start=1)
        if cost.record in measured
    )
    return (*(records_of(section, item, link) if item.accuracy else ()), *costs)
