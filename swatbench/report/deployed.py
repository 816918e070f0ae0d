"""Measurements → what structured attention costs as it is trained, and folded as it is deployed.

Only inference has a deployed form; it is timed in the same rounds as all other calls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swatbench.report import words
from swatbench.report.conditions import condition_columns, timing_of
from swatbench.report.costs import costs_of, ratio_verdict
from swatbench.report.ratios import samples_of
from swatbench.report.section import Section
from swatbench.report.selection import Measured
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import WHO, Link, Row
from swatbench.stats.ratios import Ratio, paired_ratio
from swatbench.store.cost import DEPLOYED, TWIN

NOTE = (
    "Linear map and convolution of a structured projection are one linear map, so that after folding the "
    "attention of a SWAT model is its baseline’s: the same operators and multiply-accumulates. Outputs are "
    "the same up to rounding, and so is accuracy. Parameters and MACs as trained are counted as the paper "
    "draws the model; times are those of the form that ran."
)
"""What the two forms are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of an arm.

    Attributes:
        arm: The arm.
        form: `as trained` or `as deployed`.
        params: Its parameters.
        macs: MACs of one image.
        median_s: Median time of a forward pass.
        ratio: That time as a multiple of the reference's, or None without samples.
    """

    arm: str
    form: str
    params: int
    macs: int
    median_s: float
    ratio: Ratio | None


def forms_of(measured: Measured) -> Iterator[Form]:
    """Both forms of every arm that was measured in both."""
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
                ratio=_ratio(measured, name),
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
                    **_told(measured, form.ratio),
                    "record": link(measured.stored),
                }


def _told(measured: Measured, ratio: Ratio | None) -> Row:
    if ratio is None:
        return {"verdict": "no samples"}
    return {
        "ratio": ratio.ratio,
        "low": ratio.low,
        "high": ratio.high,
        "interval": f"{words.factor(ratio.low)} to {words.factor(ratio.high)}",
        "floor": ratio.floor,
        "verdict": ratio_verdict(ratio, timing_of(measured.result, "inference", measured.result.batch_size)),
    }


def _ratio(measured: Measured, name: str) -> Ratio | None:
    """The paired ratio of a call to the reference's; None where samples cannot be read."""
    samples = samples_of(measured)
    try:
        return paired_ratio(*(samples[f"inference/{one}"] for one in (name, measured.result.reference, TWIN)))
    except (KeyError, ValueError):
        return None
