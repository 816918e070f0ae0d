"""The commands that read results: `report` writes pages from them, `status` says how far they are."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from swatbench.cli.arguments import Json, Reports, Results, SuiteNamed, name_of, print_json, say
from swatbench.visible import visible

if TYPE_CHECKING:
    from swatbench.report.gates import Gate, Judgement
    from swatbench.report.page import Gathered

Gates = Annotated[
    list[str] | None,
    typer.Option(
        "--gate",
        metavar="[PAIR:[ARM:]]NAME=VALUE",
        help="A limit, as max_latency_ratio=1.10; may be repeated. Exit code 9 where one is not kept.",
    ),
]
Undecided = Annotated[
    Literal["fail", "pass"], typer.Option(help="What a limit that is not decided makes of the exit code.")
]


def report(
    suite: SuiteNamed,
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
    gate: Gates = None,
    *,
    undecided: Undecided = "fail",
    as_json: Json = False,
) -> None:
    """Write the report of a suite from its results, without running anything, and hold it against limits."""
    from swatbench.report.gates import as_json as judgement_json
    from swatbench.report.gates import line, parse_gate, passes
    from swatbench.report.page import gather, write_report

    gates = [parse_gate(text) for text in gate or ()]
    name = name_of(suite)
    # Else the collector looks through all records of a large store again and again; none of them is garbage.
    gc.disable()
    gathered = gather(results, name)
    gc.freeze()
    gc.enable()
    page = write_report(gathered, reports)
    judged = _judged(gates, gathered) if gates else ()
    kept = passes(judged, undecided=undecided == "pass")
    if as_json:
        print_json({"report": str(page), "gates": [*map(judgement_json, judged)], "passed": kept})
    else:
        say("\n".join([f"Report: {page}", *(visible(line(item)) for item in judged)]))
    if not kept:
        _fail(judged)


def _judged(gates: "Sequence[Gate]", gathered: "Gathered") -> "tuple[Judgement, ...]":
    """Every gate against every comparison of the suite, as the report shows it."""
    from swatbench.report.gates import judge

    recorded = {
        section.machine: {stored.folder.name for stored in (*section.reported, *section.failed)}
        for section in gathered.sections
    }
    waiting = {
        machine: [cell for cell in item.cells if cell not in recorded.get(machine, ())]
        for machine, item in gathered.asked.items()
    }
    return judge(gates, gathered.sections, waiting)


def _fail(judged: "Sequence[Judgement]") -> None:
    from collections import Counter

    from swatbench.errors import GateError

    tally = Counter(item.verdict for item in judged if item.verdict != "met")
    told = ", ".join(f"{number} {verdict}" for verdict, number in tally.items())
    fix = "Measure more rounds or seeds, or give --undecided pass." if set(tally) == {"not decided"} else None
    raise GateError(f"Of {len(judged)} judgements {told}.", fix=fix)


def status(suite: SuiteNamed, results: Results = Path("results"), as_json: Json = False) -> None:
    """Say how far a suite is: cells done, running, failed and waiting, and about how long the rest takes."""
    from swatbench.status import suite_status

    name = name_of(suite)
    found = suite_status(results, name)
    if as_json:
        print_json({"suite": name, "machines": [machine.as_dict() for machine in found]})
        return
    for machine in found:
        say(f"{machine.table()}\n{machine.sentence()}\n")
    if not found:
        say("No run of this suite has begun.")
