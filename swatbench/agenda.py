"""The agenda of a run: the cells of a suite on this machine, where each belongs, and what is still to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swatbench.backbones import backbones_of
from swatbench.errors import CheckpointError, StoreError, SuiteError
from swatbench.job import Job, now
from swatbench.spec.catalog import PAIRS
from swatbench.spec.cells import ELSEWHERE, CostCell, EvaluateCell, Machine, NamedWeights, TrainCell
from swatbench.spec.estimate import forward_macs
from swatbench.spec.execution import Execution
from swatbench.spec.expand import expand, named_cells
from swatbench.spec.paired import SINGLE
from swatbench.spec.suite import ProfileSuite, Suite
from swatbench.store.asked import read_asked, write_asked
from swatbench.store.atomic import tidy
from swatbench.store.files import RECORD, cell_folder, finished_record
from swatbench.store.lock import alone
from swatbench.store.provenance import environment, usable_cores
from swatbench.store.record import Environment
from swatbench.store.refusal import refuse_links


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What a run has to do.

    Attributes:
        suite: The suite.
        folder: Where this machine's cells lie.
        environment: Where they run.
        jobs: All cells that are asked for.
        cells: Names of the folders of the suite's cells.
        named: Names of the folders of weights that the user named.
    """

    suite: Suite | ProfileSuite
    folder: Path
    environment: Environment
    jobs: tuple[Job, ...]
    cells: tuple[str, ...]
    named: tuple[str, ...]

    def todo(self) -> list[Job]:
        """The cells without a finished record, those that failed before last, so that none is in the way.

        Raises:
            StoreError: What would be written to is a link.
        """
        refuse_links(self.folder.parent, self.folder)
        open_ = [job for job in self.jobs if finished_record(job.folder, job.cell.digest) is None]
        for folder in (job.folder for job in open_):
            refuse_links(folder, *(folder.iterdir() if folder.is_dir() else ()))
        return sorted(open_, key=lambda job: (job.folder / RECORD).exists())

    def write_asked(self) -> None:
        """Leave what is asked beside the cells.

        Raises:
            StoreError: The file cannot be written, or the file system does not lock files.
        """
        # Another run may be about to add to it too.
        with alone(self.folder):
            tidy(self.folder)
            write_asked(self.folder, self.suite, self.cells, now=now(), named=self.named)


def make_agenda(
    suite: Suite | ProfileSuite,
    machine: Machine,
    *,
    results: Path,
    weights: str | None = None,
    named: NamedWeights | None = None,
    trace: Path | None = None,
) -> Agenda:
    """Give every cell of a suite its place.

    Args:
        suite: The suite.
        machine: What the machine decided.
        results: Root of all results.
        weights: What the user wants tested, in place of training; None for the suite's cells.
        named: What that is.
        trace: Folder for traces of the cost cells; None for none.

    Raises:
        SuiteError: The machine's processes cannot share a batch.
        CheckpointError: Weights that a backbone begins with are missing, and training is asked for.
        StoreError: The suite that has them has no results, likewise.
    """
    here = environment(machine.accelerator)
    folder = results / suite.name / here.machine
    try:
        backbones = (
            backbones_of(suite, results=results, machine=here.machine) if isinstance(suite, Suite) else {}
        )
    except (CheckpointError, StoreError):
        if named is None:
            raise
        # Trained weights are tested without those that they began with; which cells those are is then open.
        backbones, cells, names = {}, (), _asked_before(folder)
    else:
        starting = {model: file.sha256 for model, file in backbones.items()}
        cells = expand(suite, machine, cores=usable_cores(), backbones=starting)
        names = tuple(cell.id for cell in cells)
    starts = {file.sha256: str(file.path) for file in backbones.values()}
    if named is None:
        asked = cells
    elif isinstance(suite, Suite):
        asked = named_cells(suite, machine, named)
    else:
        raise SuiteError("This suite has no images to test weights on.", fix="Name a suite that trains.")
    folders = {
        cell.digest: cell_folder(results, suite.name, here.machine, cell.id) for cell in (*cells, *asked)
    }
    jobs = tuple(
        Job(
            suite=suite.name,
            cell=cell,
            folder=folders[cell.digest],
            environment=here,
            execution=suite.execution,
            workers=machine.workers,
            weights=_source(cell, folders, weights, starts),
            trace=trace,
        )
        for cell in asked
    )
    return Agenda(
        suite=suite,
        folder=folder,
        environment=here,
        jobs=jobs,
        cells=names,
        named=() if named is None else tuple(cell.id for cell in asked),
    )


def _asked_before(folder: Path) -> tuple[str, ...]:
    """Names of the suite's cells as an earlier run left them."""
    before = read_asked(folder)
    return before.cells if before else ()


def single_jobs(
    cells: Sequence[CostCell],
    machine: Machine,
    *,
    results: Path,
    trace: Path | None,
    places: Mapping[str, str],
) -> tuple[Job, ...]:
    """The measurements of models that a user names, which no suite asks for.

    Args:
        cells: The measurements.
        machine: What the machine decided.
        results: Root of all results.
        trace: Folder for traces; None for none.
        places: Name of a model, as a cell has it → folder that it is in, for those that have one.
    """
    here = environment(machine.accelerator)
    return tuple(
        Job(
            suite=SINGLE,
            cell=cell,
            folder=cell_folder(results, SINGLE, here.machine, cell.id),
            environment=here,
            execution=Execution(),
            workers=0,
            trace=trace,
            places=places,
        )
        for cell in cells
    )


def to_train(jobs: Sequence[Job]) -> list[Job]:
    """The train cells, pairs and seeds in the same order, but within each the arm with more MACs first.

    Side by side, the long arm of the last pair would otherwise run alone at the end.
    """
    groups: dict[tuple[str, int], list[tuple[int, Job]]] = {}
    for job in jobs:
        if isinstance(job.cell, TrainCell):
            name, seed = job.cell.pair["name"], job.cell.seed
            macs = forward_macs(PAIRS[name], job.cell.parts) or 0
            groups.setdefault((name, seed), []).append((macs, job))
    return [job for group in groups.values() for _, job in sorted(group, key=lambda one: -one[0])]


def to_evaluate(jobs: Sequence[Job]) -> list[Job]:
    """The evaluate cells."""
    return [job for job in jobs if isinstance(job.cell, EvaluateCell)]


def to_measure(jobs: Sequence[Job]) -> list[Job]:
    """The cost cells."""
    return [job for job in jobs if isinstance(job.cell, CostCell)]


def can_be_tested(job: Job) -> bool:
    """Whether the weights of an evaluate cell are there; else it waits for a training run that does not fail.

    Args:
        job: An evaluate cell.
    """
    assert isinstance(job.cell, EvaluateCell)
    source = Path(job.weights or "")
    if job.cell.arm == ELSEWHERE or source.is_file():
        return True
    return finished_record(source, job.cell.weights) is not None and (source / RECORD).exists()


def _source(
    cell: TrainCell | EvaluateCell | CostCell,
    folders: Mapping[str, Path],
    weights: str | None,
    starts: Mapping[str, str],
) -> str | None:
    """Where the weights are that an evaluate cell tests, or a train cell's backbone begins with."""
    if isinstance(cell, TrainCell) and cell.backbone is not None:
        return starts[cell.backbone]
    if not isinstance(cell, EvaluateCell):
        return None
    return weights if weights is not None else str(folders[cell.weights])
