"""Records with places for what each seed has of its own; see `report_scale_store.py`.

A record is made by the specs once for each pair and arm. Those of its seeds differ in a few values, which are
put in their places as text: to make each from the specs would take minutes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from swatbench.spec.cells import EvaluateCell, TrainCell

IMAGES = 1_000
"""Images of every test set."""

_START = datetime(2025, 3, 1, 12, tzinfo=UTC)

SEED, CORRECT, TOP1, TOP5, LOSS = 7_000_001, 7_000_002, 70.000003, 70.000004, 7.000005
BY_SEED = "by-seed"
"""Numbers, and a part of digests, that stand in a form where each seed has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A cell's folder before it is written.

    Attributes:
        name: Name of the folder.
        digest: Digest of the cell.
        files: Name of a file → its bytes.
    """

    name: str
    digest: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The record of one pair and arm, with places for what each seed has of its own.

    Attributes:
        cell: The cell, of whatever seed.
        text: The record's text.
    """

    cell: TrainCell | EvaluateCell
    text: str

    def filled(self, cell: TrainCell | EvaluateCell, files: Mapping[str, bytes], right: int) -> Written:
        """The folder of one cell.

        Args:
            cell: The cell.
            files: Its files beside the record.
            right: Images answered rightly.
        """
        seed = cell.seed or 0
        places = {
            "@id": cell.id,
            "@digest": cell.digest,
            "@weights": getattr(cell, "weights", ""),
            "@start": (_START + timedelta(seconds=40 * seed)).isoformat(),
            str(SEED): str(seed),
            str(CORRECT): str(right),
            str(TOP1): str(100 * right / IMAGES),
            str(TOP5): str(min(100.0, 100 * right / IMAGES + 25)),
            str(LOSS): str(2 - right / IMAGES),
            # Behind the numbers, which a seed's digits beside those of a digest can look like.
            BY_SEED: f"{seed:07d}",
            **{f"@{name}": hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        text = self.text
        for place, value in places.items():
            text = text.replace(place, value)
        return Written(name=cell.id, digest=cell.digest, files={**files, "record.json": text.encode()})
