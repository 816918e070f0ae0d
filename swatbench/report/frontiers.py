"""Sections → which arms no other beats in accuracy and a cost, by each cost, among those made alike."""

from collections.abc import Iterator, Sequence

from swatbench.report import words
from swatbench.report.axes import AXES, Axis, Placed, placed, unbeaten
from swatbench.report.comparison import Refusal
from swatbench.report.metric import Metric, shared_metric
from swatbench.report.points import PUBLISHED, Point, points, published_points
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import MOST_LINKED, WHO, Link, Row
from swatbench.store.files import Stored

ON = "not beaten"
"""What is said of a point on the frontier."""


def frontiers_table(sections: Sequence[Section], link: Link) -> Table:
    """For every arm and cost, its value, and whether another arm is as accurate at no higher cost."""
    rows = [
        {"machine": section.machine, **row}
        for section in sections
        for found in [points(section) or published_points(section)]
        for axis in AXES
        for row in _rows(axis, found, link, section.metric)
    ]
    metric = shared_metric(sections)
    columns = (
        Column(name="cost", title="Cost"),
        *WHO,
        Column(name=metric.column, title=f"{metric.title} %", show=words.decimal, numeric=True),
        Column(name="source", title="Accuracy from"),
        Column(name="shown", title="Value", shown_only=True),
        Column(name="standing", title="Frontier"),
        Column(name="records", title="Records", links=True),
    )
    note = (
        "The Pareto frontier: no other arm is at least as accurate and costs no more, with one of the two "
        "better. It goes by means and medians and takes no interval into account, so a narrow lead here "
        "decides nothing. Only arms that were trained and measured alike stand in one ranking."
    )
    return make_table("frontiers", "Pareto frontiers", note, columns, rows, extra=("value", "ranking"))


def on_frontier(section: Section, axis: Axis) -> tuple[Point, ...]:
    """Arms of the largest group made alike that no other beats, from the cheapest on."""
    groups = placed(axis, points(section))
    return tuple(point for _, point in unbeaten(axis, groups[0].items)) if groups else ()


def unlike_points(section: Section) -> Iterator[Refusal]:
    """Arms that stand in no ranking with most others, since they were trained or measured otherwise."""
    told: dict[tuple[str, str, str], list[str]] = {}
    found = points(section) or published_points(section)
    for axis in AXES:
        for group in placed(axis, found)[1:]:
            for _, point in group.items:
                told.setdefault((point.pair, point.arm, group.unlike), []).append(axis.noun)
    for (pair, arm, why), nouns in told.items():
        where = "any cost" if len(nouns) == len(AXES) else words.listed(nouns)
        what = f"accuracy against {where}, beside other pairs"
        yield Refusal(pair=pair, arm=arm, seed=None, what=what, why=f"not made alike: {why}")


def _rows(axis: Axis, found: Sequence[Point], link: Link, metric: Metric) -> Iterator[Row]:
    for number, group in enumerate(placed(axis, found), start=1):
        best = unbeaten(axis, group.items)
        kept = set(map(id, best))
        for item in group.items:
            x, point = item
            yield {
                "cost": axis.label(group.setting),
                "pair": point.pair,
                "arm": point.arm,
                metric.column: point.percent,
                "source": "published" if point.trained is PUBLISHED else "these runs",
                "value": x,
                "shown": axis.show(x),
                "standing": ON if id(item) in kept else f"beaten by {_better(axis, item, best)}",
                "ranking": number,
                "records": tuple(
                    (str(index), link(stored))
                    for index, stored in enumerate(_stored(point)[-MOST_LINKED:], start=1)
                ),
            }


def _stored(point: Point) -> tuple[Stored, ...]:
    cost = point.measured.stored if point.measured else None
    known = cost is None or any(stored is cost for stored in point.records)
    return point.records if known or cost is None else (*point.records, cost)


def _better(axis: Axis, item: Placed, best: Sequence[Placed]) -> str:
    """The most accurate of the frontier that costs no more."""
    x, point = item
    sign = -1 if axis.more_is_better else 1
    cheaper = [other for value, other in best if sign * value <= sign * x]
    better = [other for other in cheaper if other.percent >= point.percent]
    return max(better, key=lambda other: other.percent).name
