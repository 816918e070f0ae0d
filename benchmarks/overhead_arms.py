"""Two ways to train a cell's model, each in a process of its own, which take turns of a few steps.

`swatbench` is what `swatbench run` does in a cell's process: it tells its parent, writes the live file and
TensorBoard's, and after every epoch a checkpoint. `bare` is what one writes by hand: images, forward,
backward, clipping, step, rate, and a test after every epoch. Both take the same model, images, optimizer,
schedule and precision, so their losses must be the same numbers.

A turn ends at every report of the product, ten steps at most after the last one. The processor time of a turn
is that of the whole process, its threads included, since its last turn.
"""

import signal
import time
from dataclasses import dataclass
from math import fsum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from swatbench.cell.batches import test_batches, train_batches
from swatbench.cell.model import builder
from swatbench.cell.train import train
from swatbench.data.sources import load_dataset
from swatbench.job import Job
from swatbench.spec.cells import TrainCell
from swatbench.spec.execution import Execution
from swatbench.store.provenance import environment
from swatbench.train.epoch import REPORT_EVERY
from swatbench.train.optim import make_optimizer, make_scheduler
from swatbench.world import ALONE

OURS = "swatbench"
STALL_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What an arm did in one turn.

    Attributes:
        step: Optimizer steps done in the run.
        loss: Mean loss of those of this turn.
        process_s: Processor time of all threads since the last turn.
        wall_s: Wall time of the turn.
    """

    step: int
    loss: float
    process_s: float
    wall_s: float


class Turns:
    """An arm's side of the taking of turns.

    Args:
        pipe: To the one who says whose turn it is.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._process_s, self._wall_s = time.process_time(), time.perf_counter()

    def over(self, step: int, loss: float) -> None:
        """Tell what was done, and wait until it is this arm's turn again."""
        process_s, wall_s = time.process_time(), time.perf_counter()
        took = {"process_s": process_s - self._process_s, "wall_s": wall_s - self._wall_s}
        self._pipe.send(Turn(step=step, loss=loss, **took))
        self._process_s = process_s
        self._pipe.recv()
        self._wall_s = time.perf_counter()


def arm(name: str, cell: TrainCell, folder: Path, pipe: Connection) -> None:
    """Train the cell's model, one turn after the other, until the process is ended.

    Args:
        name: `OURS`, or anything else for the bare loop.
        cell: What to train; its recipe says how many epochs there are.
        folder: Where a cell's files go.
        pipe: To the one who says whose turn it is.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.recv()
    if name == OURS:
        _whole(cell, folder, pipe)
    else:
        _bare(cell, pipe)


def _whole(cell: TrainCell, folder: Path, pipe: Connection) -> None:
    """The product's own training of a cell, which ends a turn whenever it tells how far it is."""
    turns = Turns(pipe)

    def say(message: Any) -> None:
        kind, content = message
        pipe.send(message)
        if kind == "progress":
            turns.over(content.step, content.loss)

    where = environment()
    job = Job(suite="overhead", cell=cell, folder=folder, environment=where, execution=Execution(), workers=0)
    train(job, cell, say, ALONE)


def _bare(cell: TrainCell, pipe: Connection) -> None:
    """The loop that one writes by hand."""
    torch.set_num_threads(cell.threads)
    recipe, turns = cell.recipe, Turns(pipe)
    dataset = load_dataset(cell.data)
    model = builder(cell, num_classes=len(dataset.classes), seed=cell.seed)()
    batches = train_batches(cell, dataset, world=ALONE, workers=0, stall_s=STALL_S)
    tests = test_batches(cell, dataset, world=ALONE, workers=0, stall_s=STALL_S, split=None)
    optimizer = make_optimizer(model, recipe, fused=cell.speed.fused_optimizer)
    scheduler = make_scheduler(optimizer, recipe, steps_per_epoch=batches.steps_per_epoch)
    average = None if recipe.ema is None else ModelEmaV3(model, decay=recipe.ema.decay)
    precision = torch.autocast("cpu", torch.bfloat16, enabled=cell.resolution.precision == "bf16")
    step, losses = 0, list[Tensor]()
    for epoch in range(recipe.total_epochs):
        model.train()
        for images, labels in batches(epoch):
            scheduler.step_update(step)
            with precision:
                logits = model(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
            loss.backward()
            if recipe.clip_grad_norm is not None:
                clip_grad_norm_(model.parameters(), recipe.clip_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if average is not None:
                average.update(model, step=step)
            losses.append(loss.detach())
            in_epoch = step - epoch * batches.steps_per_epoch
            if in_epoch % REPORT_EVERY == 0 or in_epoch == batches.steps_per_epoch:
                turns.over(step, fsum(torch.stack(losses).tolist()) / len(losses))
                losses.clear()
        for tested in (model, None if average is None else average.module):
            if tested is not None:
                with precision:
                    _top1_percent(tested, tests)


@torch.no_grad()
def _top1_percent(model: nn.Module, tests: Any) -> float:
    model.eval()
    right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in tests)
    return 100 * right / tests.images
