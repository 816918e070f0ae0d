"""A cost record and what follows from it, for a machine; SI units stand in the names of keys."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from swatbench.report.conditions import Called
from swatbench.report.costs import ratio_verdict
from swatbench.report.deployed import forms_of
from swatbench.report.profile_table import arms_of
from swatbench.report.profile_times import Timed, floors, ratios, timed
from swatbench.report.profiled import disturbance, profiled
from swatbench.report.ratios import TimeRatio
from swatbench.report.rooflines import Roof, roofs
from swatbench.report.selection import Measured
from swatbench.report.spent import rows_of, step_s
from swatbench.spec.cost import Protocol
from swatbench.store.files import RECORD

_CONDITION = (
    "batch_size",
    "input_size",
    "device",
    "dtype",
    "mode",
    "layout",
    "threads",
    "memory_kind",
    "measured",
)
_TIMES = {"inference_s", "training_s", "sweep"}
"""Fields of an arm that `times` tells, with intervals."""


def profile_of(measured: Measured) -> dict[str, Any]:
    """One record.

    Args:
        measured: The measurement.
    """
    record, result = measured.stored.record, measured.result
    return {
        "record": _here(measured.stored.folder / RECORD),
        "pair": measured.pair,
        "reference": result.reference,
        "models": record.cell.get("models", {}),
        "machine": record.environment.machine,
        "processor": record.environment.processor,
        "accelerator": record.environment.accelerator,
        "started_at": record.started_at,
        "condition": {name: getattr(result, name) for name in _CONDITION},
        "arms": [cost.model_dump(exclude=_TIMES) for cost in arms_of(measured)],
        "times": [_time(one) for one in timed(measured)],
        "ratios": list(_ratios(measured)),
        "floors": [
            {**_call(one.call), "reference": result.reference, "floor": one.floor, "rounds": one.rounds}
            for one in floors(measured)
        ],
        "deployed": list(_deployed(measured)),
        "timings": [timing.model_dump() for timing in result.timings],
        "peaks": result.peaks.model_dump() if result.peaks else None,
        "rooflines": [_roof(cost.arm, roof) for cost in arms_of(measured) for roof in roofs(cost, result)],
        "states": [state.model_dump() for state in result.states],
        "energy_absent": result.energy_absent,
        "profiled": list(_profiled(measured)),
        "breakdown": list(_breakdown(measured)),
        "modules": [row.model_dump() for row in measured.stored.modules()],
    }


def _deployed(measured: Measured) -> Iterator[dict[str, Any]]:
    """Both forms of arms that have two."""
    for form in forms_of(measured):
        ratio = form.time and form.time.ratio
        told = {} if ratio is None else {"ratio": ratio.ratio, "low": ratio.low, "high": ratio.high}
        yield {
            "arm": form.arm,
            "form": form.form,
            "params": form.params,
            "macs": form.macs,
            "inference_p50_s": form.median_s,
            **told,
        }


def _here(path: Path) -> str:
    """A file's path, as seen from the current folder."""
    return Path(os.path.relpath(path)).as_posix()


def _call(call: Called) -> dict[str, Any]:
    return {"protocol": call.protocol, "batch_size": call.batch_size}


def _time(one: Timed) -> dict[str, Any]:
    quantiles = {
        f"{name}{end}_s": getattr(found, field)
        for name, found in one.quantiles.items()
        for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    samples = one.quantiles["p50"].n
    return {
        "arm": one.arm,
        **_call(one.call),
        "samples": samples,
        **quantiles,
        "images_per_s": one.images_per_s,
    }


def _ratios(measured: Measured) -> Iterator[dict[str, Any]]:
    reference = measured.result.reference
    for arm, found, unusable in ratios(measured):
        who = {"arm": arm, "reference": reference}
        exact = {"params": found.params, "macs": found.macs}
        memory = {
            "inference_peak_bytes": found.inference_memory,
            "training_peak_bytes": found.training_memory,
        }
        peaks = {name: peak.ratio for name, peak in memory.items() if peak is not None}
        yield from (
            {**who, "of": of, "ratio": ratio} for of, ratio in (exact | peaks).items() if ratio is not None
        )
        yield from ({**who, **_time_ratio(time)} for time in found.times)
        yield from ({**who, "of": one.what, "ratio": None, "why": one.why} for one in unusable)


def _time_ratio(time: TimeRatio) -> dict[str, Any]:
    values = asdict(time.ratio)
    drift = values.pop("drift")
    return {
        "of": "time",
        "protocol": time.protocol,
        "batch_size": time.batch_size,
        **values,
        "drift": drift["total"],
        "drift_detected": drift["detected"],
        "verdict": ratio_verdict(time.ratio, time.timing),
    }


def _roof(arm: str, roof: Roof) -> dict[str, Any]:
    names = (
        "protocol",
        "macs",
        "moved_bytes",
        "measured_s",
        "attainable_s",
        "flops_per_s",
        "share",
        "bound",
        "mfu",
    )
    flops_per_byte = {"flops_per_byte": roof.intensity}
    return {"arm": arm, **{name: getattr(roof, name) for name in names}, **flops_per_byte}


def _profiled(measured: Measured) -> Iterator[dict[str, Any]]:
    """Each arm's profiled step beside the timed one, and whether its protocol's profile was disturbed."""
    spent = measured.stored.breakdown()
    for protocol in get_args(Protocol):
        sides = [profiled(measured, cost, protocol, spent) for cost in arms_of(measured)]
        found = [side for side in sides if side.rows]
        for side in found:
            yield {
                "arm": side.arm,
                "protocol": protocol,
                "profiled_s": side.step_s,
                "timed_s": side.timed_s,
                "profiled_per_timed": side.to_timed,
                "disturbed": bool(disturbance(found)),
            }


def _breakdown(measured: Measured) -> Iterator[dict[str, Any]]:
    """Seconds of each arm's operators at each place, and their share of the arm's own step."""
    spent = measured.stored.breakdown()
    steps_s = {
        (arm, protocol): step_s(rows_of(spent, arm=arm, protocol=protocol))
        for arm in dict.fromkeys(row.arm for row in spent)
        for protocol in get_args(Protocol)
    }
    for row in spent:
        whole_s = steps_s[row.arm, row.protocol]
        yield {**row.model_dump(), "share": row.self_s / whole_s if whole_s > 0 else None}
