"""Time of a training step with each switch on and off, side by side; what ADR 17 decides by.

    python benchmarks/train_speed.py --json train_speed.json

For each model and switch, three steps are timed in turn, in random order within a round: without the switch,
with it, and a twin of the first, which shows what the machine makes of equal work. A ratio is that of two
steps of one round, with over without; the median over rounds is told with its 95 % interval. The step is that
of the training loop, on images that lie on the device already. `bf16` is compared with fp32, `fp16` with
bf16, and everything else with the same step in the automatic precision.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from swatbench.data_speed import training_step
from swatbench.measure.calls import LEARNING_RATE
from swatbench.measure.condition import Condition
from swatbench.measure.latency import Samples, interleave, wall_stopwatch
from swatbench.measure.machine import resolve_device, resolve_precision, threads
from swatbench.measure.memory import measure_memory
from swatbench.models.build import build_model
from swatbench.spec.catalog import find_model, parts_of
from swatbench.spec.cells import Resolution, Speed, TrainCell
from swatbench.spec.data import Data
from swatbench.spec.recipe import Recipe
from swatbench.stats.ratios import Ratio, paired_ratio
from swatbench.store.provenance import processor_name

MODELS = ("deit_mini", "swat_deit_mini", "mixer_mini", "swat_mixer_mini")
ATTENTION = ("deit_mini", "swat_deit_mini")

Changes = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Two ways of one training step.

    Attributes:
        without: What is changed in the usual cell before the switch is set.
        with_it: What the switch changes beside that; a micro-batch is given as a share of the batch.
        models: Models that it is tried on.
    """

    without: Changes
    with_it: Changes
    models: tuple[str, ...] = MODELS


SWITCHES: Mapping[str, Switch] = {
    "bf16": Switch(without={"precision": "fp32"}, with_it={"precision": "bf16"}),
    "fp16": Switch(without={"precision": "bf16"}, with_it={"precision": "fp16"}),
    "channels_last": Switch(without={}, with_it={"channels_last": True}),
    "fused_attention": Switch(
        without={"fused_attention": False}, with_it={"fused_attention": True}, models=ATTENTION
    ),
    "fused_attention, bf16": Switch(
        without={"fused_attention": False, "precision": "bf16"},
        with_it={"fused_attention": True},
        models=ATTENTION,
    ),
    "fused_optimizer": Switch(without={"fused_optimizer": False}, with_it={"fused_optimizer": True}),
    "gradient_checkpointing": Switch(without={}, with_it={"gradient_checkpointing": True}),
    "2 micro-batches": Switch(without={}, with_it={"micro_batches": 2}),
    "compile": Switch(without={}, with_it={"compile": "default"}, models=("deit_mini",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model with one switch.

    Attributes:
        switch: Key of `SWITCHES`.
        model: Name of the model.
        ratio: Time of a step with the switch over that without.
        samples: Seconds of every step.
        memory_ratio: The same of peak memory, where it was measured.
    """

    switch: str
    model: str
    ratio: Ratio
    samples: Samples
    memory_ratio: float | None

    def line(self) -> str:
        """The row of a Markdown table."""
        r = self.ratio
        without_s = sorted(self.samples.seconds["without"])[r.rounds // 2]
        verdict = ("faster" if r.ratio < 1 else "slower") if r.distinguishable else "not distinguishable"
        memory = "" if self.memory_ratio is None else f"{self.memory_ratio:.2f}"
        return (
            f"| {self.switch} | {self.model} | {1000 * without_s:.1f} | {r.ratio:.3f} | "
            f"{r.low:.3f} to {r.high:.3f} | {r.floor:.3f} | {r.rounds} | {verdict} | {memory} |"
        )

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON values, with every sample."""
        seconds = {name: values.tolist() for name, values in self.samples.seconds.items()}
        return {
            "switch": self.switch,
            "model": self.model,
            "seconds": seconds,
            "memory_ratio": self.memory_ratio,
        }


HEAD = """\
| switch | model | without it, ms | time, with / without | 95 % interval | floor | rounds | | memory |
|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Measure what the arguments ask for and print a table."""
    asked = _arguments()
    device = resolve_device(asked.device)
    name = torch.cuda.get_device_name() if device == "cuda" else processor_name()
    precision = resolve_precision("auto", device)
    where = f"{name}, {device}, torch {torch.__version__}, {asked.threads} thread(s), batch {asked.batch}"
    clock = "CPU time" if asked.cpu_time else "wall time"
    print(f"{where}, automatic precision {precision}, {clock}\n\n{HEAD}", flush=True)
    rows = []
    for switch in asked.switches:
        for model in SWITCHES[switch].models:
            if model in asked.models:
                rows.append(_row(asked, switch, model))
                print(rows[-1].line(), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time of a training step with each switch on and off.")
    parser.add_argument("--batch", type=int, default=64, help="images in a step")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seconds", type=float, default=8.0, help="time for one row")
    parser.add_argument("--rounds", type=int, default=60, help="most rounds of one row")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    parser.add_argument("--switches", nargs="+", choices=SWITCHES, default=[*SWITCHES], metavar="SWITCH")
    parser.add_argument("--cpu-time", action="store_true", help="CPU time, on a CPU that is busy otherwise")
    parser.add_argument("--json", type=Path, help="file for every sample")
    return parser.parse_args()


def _row(asked: argparse.Namespace, switch: str, model: str) -> Row:
    base = _cell(asked, model)
    without = _changed(base, SWITCHES[switch].without)
    with_it = _changed(without, SWITCHES[switch].with_it)
    steps = {"without": without, "with": with_it, "twin": without}
    with threads(asked.threads):
        samples = interleave(
            {name: training_step(cell, num_classes=10) for name, cell in steps.items()},
            order_seed=0,
            max_rounds=asked.rounds,
            budget_s=asked.seconds,
            stopwatch=wall_stopwatch(time.process_time if asked.cpu_time else time.perf_counter),
        )
    seconds = samples.seconds
    return Row(
        switch=switch,
        model=model,
        ratio=paired_ratio(seconds["with"], seconds["without"], seconds["twin"]),
        samples=samples,
        memory_ratio=_memory_ratio(base, asked.threads) if switch == "gradient_checkpointing" else None,
    )


def _cell(asked: argparse.Namespace, model: str) -> TrainCell:
    pair, arm = find_model(model)
    device = resolve_device(asked.device)
    return TrainCell(
        pair=pair.as_dict(),
        arm=arm,
        parts=parts_of(pair, arm),
        seed=0,
        data=Data(source="cifar10_subset"),
        recipe=Recipe(epochs=1, batch_size=asked.batch, learning_rate=LEARNING_RATE),
        resolution=Resolution(
            device=device,
            precision=resolve_precision("auto", device),
            fused_attention=device == "cuda",
            data_digest=None,
        ),
        speed=Speed(
            tf32=False,
            channels_last=False,
            compile="none",
            fused_optimizer=True,
            gradient_checkpointing=False,
        ),
        micro_batch_size=asked.batch,
        streams=None,
        threads=asked.threads,
        deterministic=False,
    )


def _changed(cell: TrainCell, changes: Changes) -> TrainCell:
    """The cell with other values, wherever each of them has its place."""
    parts = {
        name: part.model_copy(update={key: changes[key] for key in changes if key in type(part).model_fields})
        for name, part in (("resolution", cell.resolution), ("speed", cell.speed))
    }
    micro = cell.micro_batch_size // changes.get("micro_batches", 1)
    return cell.model_copy(update={**parts, "micro_batch_size": micro})


def _memory_ratio(cell: TrainCell, cpu_threads: int) -> float:
    """Peak memory of training steps with gradient checkpointing over that without."""
    side = cell.pair["img_size"]
    condition = Condition(
        batch_size=cell.micro_batch_size,
        input_size=(3, side, side),
        num_classes=10,
        device=cell.resolution.device,
        precision=cell.resolution.precision,
        threads=cpu_threads,
    )
    with_it, without = (
        measure_memory(
            partial(_build, cell.pair, cell.parts, cell.resolution.fused_attention, checkpointing),
            condition=condition,
            protocol="training",
        ).peak_bytes
        for checkpointing in (True, False)
    )
    return with_it / without


def _build(pair: Mapping[str, Any], parts: tuple[str, ...], fused: bool, checkpointing: bool) -> nn.Module:
    model: Any = build_model(pair, parts, num_classes=10, seed=0, fused_attention=fused)
    model.set_grad_checkpointing(checkpointing)
    return model


if __name__ == "__main__":
    main()
