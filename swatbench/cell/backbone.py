"""The backbone of a segmenter begins with a classifier's weights, where its suite says so."""

import hashlib
from pathlib import Path

from torch import nn

from swatbench.errors import CheckpointError
from swatbench.job import Job
from swatbench.models.segmenter import Segmenter, load_backbone
from swatbench.models.weights import note_conversions, read_weights, require_finite
from swatbench.processes import Say
from swatbench.spec.cells import TrainCell


def begin_with(job: Job, cell: TrainCell, model: nn.Module, say: Say) -> None:
    """Fill a segmenter's backbone from the file that its cell names; nothing where its weights are fresh.

    Args:
        job: Says where the file is.
        cell: Says by its SHA-256 which file it is.
        model: The segmenter, changed in place.
        say: Told how much was filled.

    Raises:
        CheckpointError: The file is missing, another one than when the run began, or of another model.
    """
    if cell.backbone is None:
        return
    assert job.weights is not None
    assert isinstance(model, Segmenter)
    path = Path(job.weights)
    state = read_weights(path)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != cell.backbone:
        raise CheckpointError(
            "The backbone's weights changed while the suite was running.",
            where=str(path),
            fix="Run the suite again, from the new weights.",
        )
    filled = load_backbone(model, state)
    own = model.backbone.state_dict()
    require_finite(own, where=str(path))
    note_conversions(
        {name: own[name] for name in own if name in state}, state, lambda note: say(("note", note))
    )
    say(("note", f"The backbone of {cell.id} begins with {len(filled)} tensors of a classifier."))
