"""Training and inference of SWAT on CUDA: fast form, reference form and timm's baseline side by side.

    python benchmarks/swat_cuda.py --json swat_cuda.json

For each pair, protocol and mode, four calls are timed in turn, in random order within a round: the fast form
(what `build_model` gives), the reference form of the same weights (`swat_reference.py`), the baseline, and a
twin of the fast form, which shows what the device makes of equal work. A ratio is that of two times of one
round, another form's over the fast form's: its speed-up over that form in images per second. The median over
rounds is told with its 95 % interval. Calls are those of `swatbench profile`, in bf16 with 256 images.

The goal: training throughput at least 2 × the reference form's, and at least 0.85 × the baseline's. Not yet
measured: no such device was at hand.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from swatbench.errors import MachineError
from swatbench.measure.calls import PREPARATION_CALLS, Call, make_call
from swatbench.measure.condition import Condition
from swatbench.measure.latency import Samples, interleave
from swatbench.measure.machine import Device, resolve_device, stopwatch
from swatbench.models.build import build_model
from swatbench.spec.catalog import find_model, parts_of
from swatbench.stats.ratios import Ratio, paired_ratio

PAIRS = ("deit_ti", "mixer_ti", "swin_t")
FORMS = ("fast", "reference", "baseline", "twin")
GOALS = {"reference": 2.0, "baseline": 0.85}
"""Other form → least throughput of the fast form in training, as a multiple of that form's."""

DEVICE: Device = "cuda"

Protocol = Literal["training", "inference"]
Mode = Literal["eager", "compiled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One pair in one protocol and mode.

    Attributes:
        pair: Name of the pair.
        protocol: A forward pass or a training step.
        mode: How calls reach the device.
        ratios: Other form → its time over the fast form's.
        samples: Seconds of every call.
    """

    pair: str
    protocol: Protocol
    mode: Mode
    ratios: Mapping[str, Ratio]
    samples: Samples

    def lines(self, batch_size: int) -> str:
        """Rows of a Markdown table, one for each other form."""
        seconds = sorted(self.samples.seconds["fast"])
        images_per_s = batch_size / seconds[len(seconds) // 2]
        return "\n".join(
            f"| {self.pair} | {self.protocol} | {self.mode} | {images_per_s:.0f} | {name} | {r.ratio:.3f} | "
            f"{r.low:.3f} to {r.high:.3f} | {r.floor:.3f} | {r.rounds} | {self._verdict(name)} |"
            for name, r in self.ratios.items()
        )

    def _verdict(self, name: str) -> str:
        if self.protocol != "training":
            return ""
        reached = self.ratios[name].ratio >= GOALS[name]
        return f"{'reaches' if reached else 'misses'} {GOALS[name]:.2f}"

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON values, with every sample."""
        seconds = {name: values.tolist() for name, values in self.samples.seconds.items()}
        return {"pair": self.pair, "protocol": self.protocol, "mode": self.mode, "seconds": seconds}


HEAD = """\
| pair | protocol | mode | fast form, images/s | other form | speed-up | 95 % interval | floor | rounds | |
|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Measure what the arguments ask for and print a table; 8 where there is no CUDA device."""
    asked = _arguments()
    try:
        resolve_device(DEVICE)
    except MachineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    name = torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, {asked.precision}, batch {asked.batch}\n\n{HEAD}", flush=True)
    rows = []
    for pair in asked.pairs:
        for protocol in asked.protocols:
            for mode in asked.modes:
                rows.append(_row(asked, pair, protocol, mode))
                print(rows[-1].lines(asked.batch), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="SWAT on CUDA beside its reference form and its baseline.")
    parser.add_argument("--batch", type=int, default=256, help="images in a call")
    parser.add_argument("--precision", choices=("bf16", "fp16", "fp32"), default="bf16")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for the calls of one row")
    parser.add_argument("--rounds", type=int, default=100, help="most rounds of one row")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=PAIRS, metavar="PAIR")
    for name, values in (("protocols", ("training", "inference")), ("modes", ("eager", "compiled"))):
        parser.add_argument(f"--{name}", nargs="+", choices=values, default=values)
    parser.add_argument("--json", type=Path, help="file for every sample")
    return parser.parse_args()


def _row(asked: argparse.Namespace, pair: str, protocol: Protocol, mode: Mode) -> Row:
    torch.compiler.reset()
    samples = interleave(
        {form: _call(asked, pair, form, protocol, mode) for form in FORMS},
        order_seed=0,
        max_rounds=asked.rounds,
        budget_s=asked.seconds,
        stopwatch=stopwatch(DEVICE),
        preparation_calls=PREPARATION_CALLS[mode],
    )
    seconds = samples.seconds
    ratios = {form: paired_ratio(seconds[form], seconds["fast"], seconds["twin"]) for form in GOALS}
    return Row(pair=pair, protocol=protocol, mode=mode, ratios=ratios, samples=samples)


def _call(asked: argparse.Namespace, pair: str, form: str, protocol: Protocol, mode: Mode) -> Call:
    side = find_model(pair)[0].img_size
    condition = Condition(
        batch_size=asked.batch,
        input_size=(3, side, side),
        num_classes=1000,
        device=DEVICE,
        precision=asked.precision,
        mode=mode,
    )
    return make_call(_model(pair, form), protocol, condition)


def _model(pair: str, form: str) -> nn.Module:
    """One form of a pair, on the CPU and new; all SWAT forms start from the same weights."""
    row, _ = find_model(pair)
    parts = parts_of(row, "baseline" if form == "baseline" else "swat")
    model = build_model(row.as_dict(), parts, num_classes=1000, seed=0, fused_attention=True)
    return _reference(model) if form == "reference" else model


def _reference(model: nn.Module) -> nn.Module:
    from swat_reference import reference  # noqa: PLC0415 (not needed to say that there is no device)

    return reference(model)


if __name__ == "__main__":
    raise SystemExit(main())
