"""Measurements → what structured attention costs as it is trained, and folded as it is deployed.

Only inference has a deployed form; it is timed in the same rounds as all other calls.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from swatbench.report import words
from swatbench.report.conditions import condition_columns
from swatbench.report.costs import costs_of, time_row
from swatbench.report.ratios import TimeRatio, samples_of, time_ratio
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row
from swatbench.store.cost import DEPLOYED

NOTE = (
    "Linear map and convolution of a structured projection are one linear map, so that after folding the "
    "attention of a SWAT model is its baseline’s: the same operators and multiply-accumulates. Outputs are "
    "the same up to rounding, and so is accuracy. Parameters and MACs as trained are counted as the paper "
    "draws the model; times are those of the form that ran."
)
"""What the two forms are."""
NO_SAMPLES = "no samples"
"""Verdict where times cannot be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of an arm.

    Attributes:
        arm: The arm.
        form: `as trained` or `as deployed`.
        params: Its parameters.
        macs: MACs of one image.
        median_s: Median time of a forward pass.
        time: That time as a multiple of the reference's, or None without samples.
    """

    arm: str
    form: str
    params: int
    macs: int
    median_s: float
    time: TimeRatio | None


def forms_of(measured: Measured) -> Iterator[Form]:
    """Both forms of every arm that was measured in both."""
    samples = samples_of(measured)
    for deployed in measured.result.deployed:
        trained = measured.cost(deployed.arm)
        if trained is None:
            continue
        for cost, form, name in (
            (trained, "as trained", trained.arm),
            (deployed, "as deployed", f"{trained.arm}{DEPLOYED}"),
        ):
            yield Form(
                arm=trained.arm,
                form=form,
                params=cost.params,
                macs=cost.macs,
                median_s=cost.inference_s.p50,
                time=_time(measured, samples, name),
            )


def deployed_table(sections: Sequence[Section], link: Link) -> Table:
    """Parameters, MACs and time of a forward pass of structured arms in both forms."""
    rows = list(_rows(sections, link))
    columns = (
        *WHO,
        *condition_columns(rows),
        Column(name="form", title="Form"),
        Column(name="params", title="Parameters", show=words.whole, numeric=True, link="record"),
        Column(name="macs", title="MACs an image", show=words.quantity, numeric=True, link="record"),
        Column(
            name="inference_p50_s", title="Forward pass", show=words.duration, numeric=True, link="record"
        ),
        Column(name="ratio", title="Against the reference", show=words.factor, numeric=True, link="record"),
        Column(name="interval", title="95 % CI", shown_only=True),
        Column(name="floor", title="A/A floor", show=words.factor, numeric=True),
        Column(name="verdict", title="Verdict"),
    )
    extra = ("reference", "low", "high", "condition", "record")
    return make_table("deployed", "As trained and as deployed", NOTE, columns, rows, extra=extra)


def _rows(sections: Sequence[Section], link: Link) -> Iterator[Row]:
    for section in sections:
        measurements = {id(measured): measured for measured, _ in costs_of(section)}
        for measured in measurements.values():
            for form in forms_of(measured):
                yield {
                    "machine": section.machine,
                    "pair": measured.pair,
                    "arm": form.arm,
                    "condition": measured.condition,
                    "form": form.form,
                    "params": form.params,
                    "macs": form.macs,
                    "inference_p50_s": form.median_s,
                    "reference": measured.result.reference,
                    **_told(form.time),
                    "record": link(measured.stored),
                }


def _told(time: TimeRatio | None) -> Row:
    return {"verdict": NO_SAMPLES} if time is None else time_row(time.ratio, time.timing)


def _time(measured: Measured, samples: Mapping[str, np.ndarray], name: str) -> TimeRatio | None:
    """The ratio of a forward pass to the reference's, both on the measurement's own batch."""
    result = measured.result
    own = next(
        call
        for call in measured.calls(result.reference)
        if (call.protocol, call.batch_size) == ("inference", result.batch_size)
    )
    found = time_ratio(measured, own, samples, (name, result.reference))
    return found if isinstance(found, TimeRatio) else None
