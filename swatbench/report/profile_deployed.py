"""Structured attention in a profile: as it was trained, and folded as it is deployed."""

from swatbench.report import words
from swatbench.report.costs import time_row
from swatbench.report.deployed import NO_SAMPLES, Form, forms_of
from swatbench.report.profile_table import ProfileTable
from swatbench.report.selection import Measured

TITLE = (
    "As trained and as deployed: folded, a structured projection is one linear map, and attention the\n"
    "baseline's, operator by operator. Outputs are the same up to rounding."
)


def deployed_profile(measured: Measured) -> ProfileTable:
    """Both forms of the arms that have two, without rows where none has."""
    reference = measured.result.reference
    columns = ("", "parameters", "MACs", "forward pass", f"× {reference}", "95 % CI", "verdict")
    return ProfileTable(title=TITLE, columns=columns, rows=tuple(map(_row, forms_of(measured))))


def _row(form: Form) -> tuple[str, ...]:
    counted = words.whole(form.params), words.quantity(form.macs), words.duration(form.median_s)
    who = f"{form.arm}, {form.form}"
    if form.time is None:
        return (who, *counted, words.NOTHING, words.NOTHING, NO_SAMPLES)
    told = time_row(form.time.ratio, form.time.timing)
    return (who, *counted, words.factor(told["ratio"]), told["interval"], told["verdict"])
