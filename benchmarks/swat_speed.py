"""Speed and memory of SWAT's fused forms beside its plainest form and the baseline, on a CPU.

    python benchmarks/swat_speed.py --json results/swat_speed/swat_speed.json

For each pair four calls are timed in turn, in random order within a round: the reference form
(`swat_reference`), the fused form, the timm baseline, and a twin of the reference, which shows what the
machine makes of equal work. Each pair has a process of its own, as a cell has. The fused form and the
baseline use timm's fused attention; the reference has an explicit softmax. A speed is the median over rounds
of reference over other, two times of one round, with a 95 % interval and the floor that the twin shows. Peak
memory of a training step is measured in a process for each form. The targets are those that the forms were
made for; the exit code is 1 where one is missed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from swat_reference import reference
from torch import nn

from swatbench.measure.condition import Condition
from swatbench.measure.latency import interleave
from swatbench.measure.machine import threads
from swatbench.measure.memory import measure_memory
from swatbench.models.build import build_model
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.stats.ratios import Ratio, paired_ratio
from swatbench.store.provenance import environment, processor_name

MODELS = ("deit_ti", "mixer_ti", "swin_t")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Least speed of the fused form, as multiples of the reference's, and its most memory as a share."""

    forward: float
    forward_and_backward: float
    memory: float = 0.75


TARGETS: Mapping[str, Target] = {
    "deit_ti": Target(forward=1.35, forward_and_backward=1.45),
    "mixer_ti": Target(forward=1.10, forward_and_backward=1.25),
    "swin_t": Target(forward=1.20, forward_and_backward=1.30),
}
HEAD = """\
| pair | what | speed of the fused form | 95 % interval | floor | target | of the baseline | fused / baseline, time | n |
|---|---|---|---|---|---|---|---|---|"""  # noqa: E501


def main() -> None:
    """Measure what the arguments ask for, print a table, and say by the exit code whether targets are met."""
    asked = _arguments()
    print(f"{processor_name()}, torch {torch.__version__}, {asked.threads} thread(s), batch {asked.batch}\n")
    print(HEAD, flush=True)
    rows, missed = [], []
    for pair in asked.pairs:
        # As a cell of the product: what one pair leaves in memory would decide about the next one's pages.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
            speeds = own.submit(_speeds, asked, pair).result()
        for row in (*speeds, _memory(asked, pair)):
            print(row.pop("line"), flush=True)
            rows.append(row)
            if row["target"] is not None and not row["met"]:
                missed.append(f"{pair}, {row['what']}")
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked_for = {"threads": asked.threads, "batch_size": asked.batch, "seed": asked.seed}
        document = {**environment().model_dump(mode="json"), **asked_for, "rows": rows, "missed": missed}
        asked.json.write_text(json.dumps(document, indent=1) + "\n")
    if missed:
        sys.exit(f"Missed: {'; '.join(missed)}.")


def _builders(pair: str) -> dict[str, Callable[[], nn.Module]]:
    """Form → how to build it; all forms of the pair start from the same values."""
    return {
        "reference": partial(_reference, pair),
        "fused": partial(_build, pair, "swat", fused_attention=True),
        "baseline": partial(_build, pair, "baseline", fused_attention=True),
    }


def _build(pair: str, arm: str, *, fused_attention: bool) -> nn.Module:
    row, parts = PAIRS[pair].as_dict(), parts_of(PAIRS[pair], arm)
    return build_model(row, parts, num_classes=1000, seed=0, fused_attention=fused_attention)


def _reference(pair: str) -> nn.Module:
    return reference(_build(pair, "swat", fused_attention=False))


def _speeds(asked: argparse.Namespace, pair: str) -> list[dict[str, Any]]:
    images = torch.randn(asked.batch, 3, PAIRS[pair].img_size, PAIRS[pair].img_size)
    builders = _builders(pair)
    models = {name: build().train() for name, build in (*builders.items(), ("twin", builders["reference"]))}
    ways = {"forward": _forward, "forward and backward": _forward_and_backward}
    target = TARGETS.get(pair) if asked.batch == 8 else None
    rows = []
    for what, way in ways.items():
        with threads(asked.threads):
            samples = interleave(
                {name: partial(way, model, images) for name, model in models.items()},
                order_seed=asked.seed,
                max_rounds=asked.rounds,
                budget_s=asked.budget_s,
            )
        least = target and (target.forward if what == "forward" else target.forward_and_backward)
        rows.append(_row(pair, what, {name: list(s) for name, s in samples.seconds.items()}, least))
    return rows


def _row(pair: str, what: str, seconds: Mapping[str, list[float]], target: float | None) -> dict[str, Any]:
    """One line of the table with the samples that it is made of."""
    arrays = {name: np.asarray(values) for name, values in seconds.items()}

    def over(arm: str, reference: str) -> Ratio:
        return paired_ratio(arrays[arm], arrays[reference], arrays["twin"], seed=0)

    found, baseline, slower = (
        over("fused", "reference"),
        over("baseline", "reference"),
        over("fused", "baseline"),
    )
    speed, low, high = 1 / found.ratio, 1 / found.high, 1 / found.low
    met = target is None or speed >= target
    asked = "" if target is None else f"{target:.2f}"
    line = (
        f"| {pair} | {what} | {speed:.2f} | {low:.2f} to {high:.2f} | {found.floor:.3f} | {asked} | "
        f"{1 / baseline.ratio:.2f} | {slower.ratio:.2f} | {found.rounds} |"
    )
    return {
        "pair": pair,
        "what": what,
        "speed_over_reference": speed,
        "interval": [low, high],
        "floor": found.floor,
        "target": target,
        "met": met,
        "baseline_speed_over_reference": 1 / baseline.ratio,
        "time_over_baseline": slower.ratio,
        "seconds": dict(seconds),
        "line": line,
    }


def _forward(model: nn.Module, images: torch.Tensor) -> None:
    with torch.inference_mode():
        model(images)


def _forward_and_backward(model: nn.Module, images: torch.Tensor) -> None:
    model.zero_grad()
    model(images).square().mean().backward()


def _memory(asked: argparse.Namespace, pair: str) -> dict[str, Any]:
    """Peak memory of a training step, in processes of their own."""
    side = PAIRS[pair].img_size
    condition = Condition(
        batch_size=asked.batch,
        input_size=(3, side, side),
        num_classes=1000,
        device="cpu",
        precision="fp32",
        mode="eager",
        layout="contiguous",
        threads=asked.threads,
    )
    peaks = {
        name: measure_memory(build, condition=condition, protocol="training").peak_bytes
        for name, build in _builders(pair).items()
    }
    share = peaks["fused"] / peaks["reference"]
    target = TARGETS[pair].memory if pair in TARGETS and asked.batch == 8 else None
    line = (
        f"| {pair} | peak training memory | {share:.2f} |  |  | {target or ''} | "
        f"{peaks['baseline'] / peaks['reference']:.2f} | {peaks['fused'] / peaks['baseline']:.2f} |  |"
    )
    return {
        "pair": pair,
        "what": "peak training memory",
        "peak_bytes": peaks,
        "share_of_reference": share,
        "target": target,
        "met": target is None or share <= target,
        "line": line,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", nargs="+", default=MODELS, choices=sorted(PAIRS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--budget-s", type=float, default=60.0, help="seconds for each pair and way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write every sample to a file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
