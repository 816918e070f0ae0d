"""How far a training run is, as one process tells another (no torch)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch: Number of the epoch, from 1.
        epochs: Epochs in all.
        step: Optimizer steps done in the run.
        steps: Optimizer steps in all.
        loss: Mean training loss since the last report.
        learning_rate: Learning rate of the last step.
        images_per_s: Training images per second of wall time, over this epoch so far.
        data_share: Share of that time spent waiting for batches.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    learning_rate: float
    images_per_s: float
    data_share: float = 0.0
