"""Sections → the table of what an arm adds to its reference and takes from it, module by module."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from swatbench.report import words
from swatbench.report.comparison import PairRuns
from swatbench.report.conditions import filled
from swatbench.report.section import Section
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row
from swatbench.store.cost import ModuleCost

PARTS = (
    "tokenization",
    "token mixing",
    "channel mixing",
    "merging",
    "norms and skips",
    "head",
    "other",
)
"""Parts of a model (`measure.parts`) in the order in which they are told; unknown ones come after them."""

WHOLE_MODEL = "whole model"

_COUNTS = ("reference_params", "params", "reference_macs", "macs")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedModules:
    """One place in two models, or a sum of places.

    Attributes:
        part: Part of the model.
        path: Place, with `*` for every number; empty for the model itself.
        reference_kind: Class of the reference's modules, or several; empty where it has none here.
        kind: The same of the arm.
        reference_copies: Modules of the reference at this place.
        copies: Those of the arm.
        reference_params: Parameters of the reference, those of modules inside not counted.
        params: Those of the arm.
        reference_macs: Multiply-accumulates of one image's forward pass through the reference's modules.
        macs: Those of the arm.
    """

    part: str
    path: str
    reference_kind: str
    kind: str
    reference_copies: int
    copies: int
    reference_params: int
    params: int
    reference_macs: int
    macs: int

    @property
    def kinds(self) -> str:
        """Class of the modules; that of the reference, an arrow, and the arm's where they differ."""
        return " → ".join(dict.fromkeys(filter(None, (self.reference_kind, self.kind))))

    @property
    def change(self) -> str:
        """Whether the arm adds, removes or changes this place, or leaves it the same."""
        if not self.reference_copies:
            return "added"
        if not self.copies:
            return "removed"
        return "changed" if self.differs else "same"

    @property
    def differs(self) -> bool:
        """Whether the arm has other parameters, MACs, classes or numbers of modules here."""
        theirs = (self.reference_params, self.reference_macs, self.reference_kind, self.reference_copies)
        return (self.params, self.macs, self.kind, self.copies) != theirs


def part_rank(part: str) -> int:
    """Where a part comes in the order of `PARTS`."""
    return PARTS.index(part) if part in PARTS else len(PARTS)


def aligned_modules(reference: Sequence[ModuleCost], own: Sequence[ModuleCost]) -> tuple[AlignedModules, ...]:
    """Lay two arms side by side, place by place; equal parts together, in the order of `PARTS`.

    Args:
        reference: Modules of the reference.
        own: Modules of the arm.
    """
    sides = (_places(reference), _places(own))
    places = sorted(dict.fromkeys([*sides[0], *sides[1]]), key=lambda place: part_rank(place[0]))
    return tuple(_aligned(*place, *(side.get(place, []) for side in sides)) for place in places)


def sums(aligned: Iterable[AlignedModules]) -> dict[str, int]:
    """Parameters and MACs of both arms over several places."""
    every = list(aligned)
    return {name: sum(getattr(item, name) for item in every) for name in _COUNTS}


def modules_table(sections: Sequence[Section], link: Link) -> Table:
    """Parameters and MACs of each arm beside its reference's, where they differ, with sums of every part.

    Of a model that was measured alone there are the sums; the CSV file has all places of all.

    Args:
        sections: Sections of the report.
        link: Record → its address.
    """
    found = [
        (name, aligned)
        for section in sections
        for runs in section.pairs
        for name, aligned in _compared(section.machine, runs, link)
    ]
    shown = [{**name, **row} for name, aligned in found for row in _shown(aligned, alone=_alone(name))]
    every = [{**name, **_facts(item, alone=_alone(name))} for name, aligned in found for item in aligned]
    extra = (*_COPIES, *_COUNTS, "recorded_params", "recorded_macs", "record")
    names = (*_NAMES, *_FACTS, "record")
    paired = any(not _alone(name) for name, _ in found)
    note = f"{_COMPARED if paired else ''} {_PLACES}".lstrip()
    title = "What is added, module by module" if paired else "Parameters and MACs by part"
    return make_table("modules", title, note, _columns(shown), shown, extra=extra, finer=(names, every))


_COMPARED = "What each arm adds to its reference and takes from it."
_PLACES = (
    "Modules that stand in rows, as equal blocks do, share one place, with * for their number; parameters "
    "and MACs are their own, without those of modules inside them. Places that do not differ are in the "
    "sums, and in the CSV file."
)
_NAMES = ("machine", "pair", "arm", "reference")
_COPIES = ("reference_copies", "copies")
_KINDS = ("reference_kind", "kind")
_FACTS = ("part", "path", *_KINDS, "change", *_COPIES, *_COUNTS)
_OF_REFERENCE = ("change", *(name for name in (*_KINDS, *_COPIES, *_COUNTS) if name.startswith("reference")))
"""What a model that was measured alone has nothing for."""


def _columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    signed = partial(words.signed, places=0)
    remarks = {name: partial(_against_record, name=name) for name in ("params", "macs")}
    further = (
        Column(name="kinds", title="Class"),
        Column(name="change", title="Change"),
        Column(name="reference_params", title="Parameters, reference", show=words.whole, numeric=True),
        Column(name="params", title="Parameters", show=words.whole, numeric=True, remark=remarks["params"]),
        Column(name="params_difference", title="Difference", show=signed, numeric=True),
        Column(name="reference_macs", title="MACs, reference", show=words.whole, numeric=True),
        Column(name="macs", title="MACs", show=words.whole, numeric=True, remark=remarks["macs"]),
        Column(name="macs_difference", title="Difference", show=signed, numeric=True),
    )
    against, place = Column(name="reference", title="Against"), Column(name="path", title="Place")
    return (*WHO, *filled((against,), rows), Column(name="part", title="Part"), place, *filled(further, rows))


def _against_record(row: Mapping[str, Any], *, name: str) -> str:
    if row["part"] != WHOLE_MODEL or row[name] == row[f"recorded_{name}"]:
        return ""
    return f"the record says {words.whole(row[f'recorded_{name}'])}"


def _compared(machine: str, runs: PairRuns, link: Link) -> Iterator[tuple[Row, tuple[AlignedModules, ...]]]:
    if runs.measured is None:
        return
    result, modules = runs.measured.result, runs.measured.stored.modules()
    theirs = [row for row in modules if row.arm == result.reference]
    alone = len(result.arms) == 1
    for cost in result.arms:
        own = [row for row in modules if row.arm == cost.arm]
        if own and theirs and (alone or cost.arm != result.reference):
            against = None if alone else result.reference
            name = {"machine": machine, "pair": runs.pair, "arm": cost.arm, "reference": against}
            recorded = {"recorded_params": cost.params, "recorded_macs": cost.macs}
            yield {**name, **recorded, "record": link(runs.measured.stored)}, aligned_modules(theirs, own)


def _alone(name: Row) -> bool:
    return name["reference"] is None


def _shown(aligned: Sequence[AlignedModules], *, alone: bool) -> Iterator[Row]:
    """Places that differ and the sum of each part, then that of the model."""
    for part in dict.fromkeys(item.part for item in aligned):
        inside = [item for item in aligned if item.part == part]
        yield from (_place_row(item) for item in inside if item.differs)
        yield {"part": part, "path": "all of it", **_sum_row(inside, alone=alone)}
    yield {"part": WHOLE_MODEL, **_sum_row(aligned, alone=alone)}


def _place_row(item: AlignedModules) -> Row:
    facts = _facts(item)
    return {**facts, "kinds": item.kinds, **_differences(facts)}


def _sum_row(aligned: Sequence[AlignedModules], *, alone: bool) -> Row:
    total = sums(aligned)
    return {name: total[name] for name in ("params", "macs")} if alone else {**total, **_differences(total)}


def _facts(item: AlignedModules, *, alone: bool = False) -> Row:
    return {name: getattr(item, name) for name in _FACTS if not (alone and name in _OF_REFERENCE)}


def _differences(row: Mapping[str, int]) -> Row:
    return {f"{name}_difference": row[name] - row[f"reference_{name}"] for name in ("params", "macs")}


def _places(modules: Sequence[ModuleCost]) -> dict[tuple[str, str], list[ModuleCost]]:
    found: dict[tuple[str, str], list[ModuleCost]] = {}
    for row in modules:
        found.setdefault((row.part, row.path), []).append(row)
    return found


def _aligned(part: str, path: str, theirs: list[ModuleCost], own: list[ModuleCost]) -> AlignedModules:
    return AlignedModules(
        part=part,
        path=path,
        reference_kind=_kind(theirs),
        kind=_kind(own),
        reference_copies=sum(row.copies for row in theirs),
        copies=sum(row.copies for row in own),
        reference_params=sum(row.params for row in theirs),
        params=sum(row.params for row in own),
        reference_macs=sum(row.macs for row in theirs),
        macs=sum(row.macs for row in own),
    )


def _kind(modules: Sequence[ModuleCost]) -> str:
    return " + ".join(sorted({row.kind for row in modules}))
