"""Structured attention in a profile: as it was trained, and folded as it is deployed."""

from swatbench.report import words
from swatbench.report.costs import ratio_verdict
from swatbench.report.deployed import Form, forms_of
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
    ratio = form.ratio
    if ratio is None:
        return (f"{form.arm}, {form.form}", *counted, words.NOTHING, words.NOTHING, "no samples")
    interval = f"{words.factor(ratio.low)} to {words.factor(ratio.high)}"
    return (f"{form.arm}, {form.form}", *counted, words.factor(ratio.ratio), interval, ratio_verdict(ratio))
