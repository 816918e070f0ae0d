"""Many processes at the cells of one suite that take milliseconds, killed at random: nothing done twice.

Each process shares the cells as a run does; in place of training it writes lines to a journal and then a
record. The journal is what is judged: who had which cell from when to when, and what went on beside what.
"""

import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from swatbench.job import Job, record_of
from swatbench.sharing import Claimed, Shared
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.cells import CostCell, EvaluateCell, Resolution, Speed, TrainCell
from swatbench.spec.cost import Cost
from swatbench.spec.data import Data
from swatbench.spec.execution import Execution
from swatbench.spec.recipe import Recipe
from swatbench.store.files import PREDICTIONS, finished_record, write_record
from swatbench.store.provenance import environment
from swatbench.store.record import Environment, Record
from swatbench.store.turns import Turns

JOURNAL = "journal.jsonl"
MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Hammered:
    """What the journal tells.

    Attributes:
        cells: Cells of the suite.
        finished: Of them, those with a record.
        done: How often a cell was brought to its end, in all.
        kills: Processes that were killed, each at a random moment.
        taken_over: How often a cell was begun that a killed process had.
        at_once: How often a cell was begun while another process had it.
        beside: How often something went on beside a measurement.
        early: How often weights were tested before their training had its record.
    """

    cells: int
    finished: int
    done: int
    kills: int
    taken_over: int
    at_once: int
    beside: int
    early: int


def hammer(folder: Path, *, processes: int, seeds: int, kills: int, seed: int) -> Hammered:
    """Let processes share the cells of a suite, and kill some and start others in their place.

    Args:
        folder: An empty folder.
        processes: How many at a time.
        seeds: Training runs; each comes with a test of its weights, and with every fourth a measurement.
        kills: How many processes to kill.
        seed: Of the moments at which they are killed.
    """
    start, draw = multiprocessing.get_context("fork"), random.Random(seed)
    jobs = make_jobs(folder, seeds)
    running = [_started(start, folder, jobs) for _ in range(processes)]
    for _ in range(kills):
        time.sleep(draw.uniform(0.005, 0.05))
        place = draw.randrange(processes)
        running[place].kill()
        running[place].join()
        if running[place].exitcode == -signal.SIGKILL:  # Else it had come to its end.
            _write(folder, {"cell": "", "what": "killed", "pid": running[place].pid})
        running[place] = _started(start, folder, jobs)
    for process in running:
        process.join(120)
        assert process.exitcode == 0, f"a process ended with {process.exitcode}"
    return _judged(folder, jobs)


def make_jobs(folder: Path, seeds: int) -> list[Job]:
    """Cells that depend on one another as those of a suite do."""
    pair, arm = PAIRS["mixer_mini"], "baseline"
    resolution = Resolution(device="cpu", precision="fp32", fused_attention=False, data_digest="0" * 64)
    same = {"pair": pair.as_dict(), "resolution": resolution, "threads": 1}
    model = {**same, "arm": arm, "parts": parts_of(pair, arm), "data": Data(source="cifar10_subset")}
    jobs = []
    for seed in range(seeds):
        cell = TrainCell(
            **model,
            seed=seed,
            recipe=Recipe(epochs=1, batch_size=250, learning_rate=1e-3),
            speed=Speed(
                tf32=False,
                channels_last=False,
                compile="none",
                fused_optimizer=True,
                gradient_checkpointing=False,
            ),
            micro_batch_size=250,
            streams=None,
            deterministic=True,
        )
        jobs.append(_job(folder, cell))
        tested = EvaluateCell(**model, seed=seed, weights=cell.digest, test=None)
        jobs.append(_job(folder, tested, weights=str(jobs[-1].folder)))
        if seed % 4 == 0:
            cost = CostCell(
                **same,
                arms={arm: parts_of(pair, arm)},
                reference=arm,
                input_size=(3, 32, 32),
                num_classes=10 + seed,
                cost=Cost(batch_size=1),
                mode="eager",
                layout="contiguous",
            )
            jobs.append(_job(folder, cost))
    return jobs


def _job(folder: Path, cell: TrainCell | EvaluateCell | CostCell, weights: str | None = None) -> Job:
    return Job(
        suite="small",
        cell=cell,
        folder=folder / "small" / MACHINE / cell.id,
        environment=_here(),
        execution=Execution(),
        workers=0,
        weights=weights,
    )


@cache
def _here() -> Environment:
    return environment(None).model_copy(update={"machine": MACHINE})


def _started(start, folder: Path, jobs: list[Job]):
    process = start.Process(target=_share, args=(folder, jobs))
    process.start()
    return process


def _share(folder: Path, jobs: list[Job]) -> None:
    """What a run does with its cells, one at a time."""
    todo = [job for job in jobs if finished_record(job.folder, job.cell.digest) is None]
    shared, draw = Shared(todo, Turns(folder, MACHINE), lambda _: None), random.Random(os.getpid())
    while shared.left:
        # A run trains first; whether turns are kept shows where some measure while others train.
        ways = [shared.model, shared.cost] if draw.random() < 0.5 else [shared.cost, shared.model]
        claimed = ways[0]() or ways[1]()
        if claimed is None:
            time.sleep(0.002)
            continue
        _do(folder, claimed)
        shared.end(claimed)


def _do(folder: Path, claimed: Claimed) -> None:
    job = claimed.job
    trained = isinstance(job.cell, EvaluateCell) and finished_record(
        Path(job.weights or ""), job.cell.weights
    )
    _note(folder, job, "begin", early=isinstance(job.cell, EvaluateCell) and not trained)
    # Others are at work meanwhile, of whom a measurement should hear nothing.
    time.sleep(0.05 if isinstance(job.cell, CostCell) else 0.003)
    write_record(job.folder, finished_by_hand(job))
    _note(folder, job, "end")


def finished_by_hand(job: Job, **more: object) -> Record:
    """The record of a cell that was done by hand."""
    scores = {"correct": 3, "top1_percent": 75.0}
    match job.cell:
        case TrainCell():
            digests = dict.fromkeys(("order_sha256", "augmentation_sha256", "recipe_sha256"), "0" * 64)
            found: dict = {"train": {**scores, **digests, "params": 1, "test_images": 4, "test_loss": 1.0}}
            found["train"] |= {
                "top5_percent": 100.0,
                "train_s": 1.0,
                "images_seen": 4,
                "shared_init_sha256": {},
            }
        case EvaluateCell():
            evaluated = {**scores, "weights": "raw", "images": 4, "file": PREDICTIONS}
            found = {"evaluation": {"test": "test", "model": "m", "params": 1, "evaluated": (evaluated,)}}
        case CostCell():
            size = {
                "batch_size": 1,
                "input_size": (3, 32, 32),
                "device": "cpu",
                "dtype": "float32",
                "threads": 1,
            }
            words = {"memory_kind": "allocated", "measured": "", "reference": "baseline"}
            found = {"cost": {**size, **words, "arms": (), "timings": ()}}
    return record_of(job, "finished", started_at="", duration_s=0.0, **found, **more)


def _note(folder: Path, job: Job, what: str, **more: bool) -> None:
    _write(folder, {"cell": job.cell.id, "kind": job.cell.kind, "what": what, "pid": os.getpid(), **more})


def _write(folder: Path, line: dict) -> None:
    with (folder / JOURNAL).open("ab", buffering=0) as file:  # one write, whole and in its order
        file.write(f"{json.dumps(line)}\n".encode())


def _judged(folder: Path, jobs: list[Job]) -> Hammered:
    lines = [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()]
    killed = {line["pid"] for line in lines if line["what"] == "killed"}
    last = {line["pid"]: number for number, line in enumerate(lines) if line["what"] != "killed"}
    counted = {"done": 0, "taken_over": 0, "at_once": 0, "beside": 0, "early": 0}
    begun: dict[str, dict] = {}
    for number, line in enumerate(lines):
        if line["what"] == "begin":
            # A killed process is noted a moment after its death: it is gone from its own last line on.
            gone = {pid for pid in killed if last.get(pid, -1) < number}
            before = begun.pop(line["cell"], None)
            counted["taken_over" if before and before["pid"] in gone else "at_once"] += before is not None
            kinds = [one["kind"] for one in begun.values() if one["pid"] not in gone]
            counted["beside"] += bool(kinds) and "cost" in {line["kind"], *kinds}
            counted["early"] += line["early"]
            begun[line["cell"]] = line
        elif line["what"] == "end":
            counted["done"] += 1
            begun.pop(line["cell"], None)
    finished = sum(finished_record(job.folder, job.cell.digest) is not None for job in jobs)
    return Hammered(cells=len(jobs), finished=finished, kills=len(killed), **counted)
