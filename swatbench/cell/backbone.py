"""The backbone of a segmenter begins with a classifier's weights, where its suite says so."""

import hashlib
from pathlib import Path

from timm.models import load_state_dict
from torch import nn

from swatbench.cell.weights import UNUSABLE, reason
from swatbench.errors import CheckpointError
from swatbench.job import Job
from swatbench.models.segmenter import Segmenter, load_backbone
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
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        # Nothing but tensors is read: a pickle that would run code is refused.
        state = load_state_dict(str(path), use_ema=False, weights_only=True)
    except UNUSABLE as error:
        raise CheckpointError(
            f"The backbone's weights cannot be read: {reason(error)}.", where=str(path)
        ) from error
    if found != cell.backbone:
        raise CheckpointError(
            "The backbone's weights changed while the suite was running.",
            where=str(path),
            fix="Run the suite again, from the new weights.",
        )
    filled = load_backbone(model, state)
    say(("note", f"The backbone of {cell.id} begins with {len(filled)} tensors of a classifier."))
