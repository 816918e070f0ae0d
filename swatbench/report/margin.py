"""Within what difference a suite calls two accuracies the same, and whether it said so beforehand."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from swatbench.store.asked import Asked
from swatbench.store.files import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """An equivalence margin.

    Attributes:
        points: Largest difference in the score that counts as none, in points.
        set_at: Moment at which a run first asked for it, or None where that is not known.
    """

    points: float
    set_at: str | None

    def beforehand(self, runs: Iterable[Stored]) -> bool:
        """Whether it was set before any of these runs began; where that cannot be told, it was not."""
        set_at = _moment(self.set_at)
        began = [_moment(run.record.started_at) for run in runs]
        return set_at is not None and all(start is not None and set_at <= start for start in began)


def margin_of(asked: Asked | None) -> Margin | None:
    """The margin that a machine's last run asked for, or None without one."""
    if asked is None or asked.margin_points is None:
        return None
    return Margin(points=asked.margin_points, set_at=asked.margin_set_at)


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
