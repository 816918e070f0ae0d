"""A comparison of two sides → the tables of bookkeeping: what the sides are, and what was not compared."""

from collections.abc import Iterable, Sequence

from swatbench.report.between import Between
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Row


def sides_table(found: Between) -> Table:
    """What the two sides are, item by item."""
    columns = (
        Column(name="item", title="Item"),
        Column(name="before", title="A", prose=True),
        Column(name="after", title="B", prose=True),
        Column(name="differs", title="Differs?", show=_differs),
    )
    rows = [
        {"item": fact.item, "before": fact.before, "after": fact.after, "differs": fact.differs}
        for fact in found.facts
    ]
    note = "What the records say of both sides. Of packages, those that differ are shown, and torch and timm."
    return table_of(found, "sides", "The two sides", note, columns, rows)


def refused_table(found: Between) -> Table:
    """What both sides have and what was not compared, and why."""
    rows = [
        {
            "pair": item.pair,
            "arm": item.arm or "all",
            "seeds": " ".join(map(str, item.seeds)),
            "what": item.what,
            "why": item.why,
        }
        for item in found.refused
    ]
    columns = (
        *WHO,
        Column(name="seeds", title="Seeds"),
        Column(name="what", title="What"),
        Column(name="why", title="Why not (A first)", prose=True),
    )
    note = "What both sides have and what is no comparison of the same thing."
    return table_of(found, "not_compared", "Not compared", note, columns, rows)


def one_sided_table(found: Between) -> Table:
    """Cells that one side alone has."""
    rows = [
        {
            "side": item.side,
            "kind": item.kind,
            "pair": item.pair,
            "arm": item.arm,
            "seeds": " ".join(map(str, item.seeds)),
        }
        for item in found.one_sided
    ]
    columns = (
        Column(name="side", title="Only in"),
        Column(name="kind", title="What"),
        *WHO,
        Column(name="seeds", title="Seeds"),
    )
    return table_of(
        found, "one_side", "On one side only", "Finished cells that the other side lacks.", columns, rows
    )


def unusable_table(found: Between) -> Table:
    """Cells that failed, and damaged records, of both sides."""
    rows: list[Row] = []
    for name, side in found.sides:
        for stored in side.chosen.failed:
            why = stored.record.failure.message if stored.record.failure else ""
            rows.append({"side": name, "what": "failed", "place": stored.record.cell_id, "why": why})
        rows += [{"side": name, "what": "damaged", "place": file, "why": why} for file, why in side.damaged]
    columns = (
        Column(name="side", title="Side"),
        Column(name="what", title="What"),
        Column(name="place", title="Cell or file", prose=True),
        Column(name="why", title="Why", prose=True),
    )
    note = "Cells that failed, and files that cannot be used; the rest stands without them."
    return table_of(found, "unusable", "Failed and damaged", note, columns, rows)


def shown_where_several(rows: Sequence[Row], name: str, title: str) -> tuple[Column, ...]:
    """A column that is shown only where its rows differ in it."""
    return (Column(name=name, title=title),) if len({row[name] for row in rows}) > 1 else ()


def table_of(
    found: Between,
    name: str,
    title: str,
    note: str,
    columns: tuple[Column, ...],
    rows: Sequence[Row],
    *,
    extra: Iterable[str] = (),
) -> Table:
    """A table of a comparison; its files name the machines of both sides."""
    machines = " and ".join(dict.fromkeys(side.machine for _, side in found.sides))
    return make_table(
        name, title, note, columns, [{"machine": machines, **row} for row in rows], extra=tuple(extra)
    )


def _differs(differs: bool) -> str:
    return "differs" if differs else ""
