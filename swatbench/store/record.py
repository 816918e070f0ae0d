"""A record: what one cell was asked, where it ran, and what came out; facts only, raw samples beside it.

Files of a cell, in `results/<suite>/<machine>/<cell id>/`:

    record.json        this record
    curve.jsonl        train: one JSON object an epoch (CurvePoint)
    predictions.npz    train, evaluate: one row a test image: label, predicted, margin, loss, confidence
                       in segmentation of pixels by class: intersection, predicted, labelled; and loss
    predictions-raw.npz  train, where a moving average is tested: the same of the weights themselves
    predictions-<test>.npz, predictions-<test>-raw.npz  segmentation: the same of each further way of testing
    masks.npz          segmentation: of a few test images image_<i>, label_<i> and predicted_<i>, 8-bit
    samples.npz        cost: seconds per call, one row a round (see CostResult)
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from swatbench.spec.base import GrownSpec, Spec
from swatbench.store.cost import CostResult
from swatbench.store.quantities import Count, Percent, Positive

SCHEMA_VERSION = 3
"""Version of this file's layout; older records are upgraded when read."""


class Environment(Spec):
    """Where and with what code a cell ran."""

    machine: str
    """Name of the machine's folder: processor or accelerator, and cores."""
    processor: str
    cores: int
    memory_bytes: int
    accelerator: str | None
    """Name of the CUDA device, or null."""
    system: str
    """Operating system and its version."""
    python: str
    packages: dict[str, str]
    """Package → version, of every package that can move a number."""
    git_commit: str | None
    """Commit of swatbench's source tree, or null outside one."""
    git_dirty: bool | None
    """Whether that tree had changes that were not committed."""
    swatbench: str
    """Version of swatbench."""


class CurvePoint(GrownSpec):
    """One epoch of training (a line of `curve.jsonl`)."""

    _gained: ClassVar[frozenset[str]] = frozenset({"miou_percent", "ema_miou_percent"})

    epoch: Count
    """Epochs done, from 1."""
    step: Count
    """Optimizer steps done."""
    loss: float
    """Mean training loss over the epoch."""
    learning_rate: float
    """Learning rate of the epoch's last step."""
    top1_percent: Percent | None
    """Top-1 accuracy of the weights on the test images after the epoch, where it was measured."""
    ema_top1_percent: Percent | None = None
    """The same of their moving average, where there is one."""
    miou_percent: Percent | None = None
    """Of segmentation, in place of top-1 accuracy: mean IoU of the weights on the test images, where it was
    measured."""
    ema_miou_percent: Percent | None = None
    """The same of their moving average."""
    compute_s: Positive
    """Wall time of the epoch's steps, in seconds."""
    data_s: Positive
    """Wall time spent waiting for batches, in seconds."""


_OF_MASKS = frozenset({"inference", "miou_percent", "mean_accuracy_percent", "pixel_accuracy_percent"})


class _Scored(GrownSpec):
    """Scores of one set of weights: of classes or, in segmentation, of masks."""

    inference: str | None = None
    """Of segmentation: name of the way that images were tested."""
    correct: Count | None = None
    """Test images whose largest logit is at their label; null in segmentation."""
    top1_percent: Percent | None = None
    """Null in segmentation."""
    top5_percent: Percent | None = None
    miou_percent: Percent | None = None
    """Of segmentation: mean over classes of intersection over union, of all images' pixels together; classes
    that are in no mask and in no prediction are left out."""
    mean_accuracy_percent: Percent | None = None
    """Of segmentation: mean over classes of the share of a class's pixels that are found."""
    pixel_accuracy_percent: Percent | None = None
    """Of segmentation: share of labelled pixels whose class is found."""

    @property
    def score_percent(self) -> float:
        """What arms are compared by: top-1 accuracy, or in segmentation the mean IoU."""
        score = self.top1_percent if self.miou_percent is None else self.miou_percent
        assert score is not None, "one of the two is there"
        return score


class Evaluated(_Scored):
    """What one set of weights gives on one test set: of classes or, in segmentation, of masks."""

    _gained: ClassVar[frozenset[str]] = _OF_MASKS | {"correct", "top1_percent"}

    weights: Literal["raw", "ema"]
    """The weights themselves, or their moving average."""
    images: Annotated[int, Field(ge=1, lt=2**63)]
    """Test images; with ReaL labels those that have any."""
    loss: Positive | None = None
    """Mean cross-entropy, in nats; of segmentation over labelled pixels."""
    calibration_error: Annotated[float, Field(ge=0, le=1)] | None = None
    """Expected calibration error: mean distance of confidence and accuracy over 15 bins of equal width."""
    per_class_percent: tuple[Percent | None, ...] = ()
    """Top-1 accuracy of each class's images, in segmentation each class's IoU, in the order of the labels;
    null for a class without images."""
    file: str
    """File beside the record that holds one row an image."""

    @model_validator(mode="after")
    def _of_classes_or_of_masks(self) -> Self:
        if (self.miou_percent is None) == (self.top1_percent is None):
            raise ValueError("either top1_percent or miou_percent is what was measured")
        if (self.correct is None) != (self.top1_percent is None):
            raise ValueError("correct belongs to top1_percent")
        return self


class EvaluationResult(Spec):
    """What a model gives on a test set that it was not trained beside."""

    test: str
    """Name of the test set."""
    model: str
    """Name of the model."""
    params: Count
    """Parameters."""
    evaluated: Annotated[tuple[Evaluated, ...], Field(min_length=1)]


class TrainResult(_Scored):
    """What training and evaluation gave; its scores are those of the first test in `evaluated`."""

    _gained: ClassVar[frozenset[str]] = _OF_MASKS | {"correct", "top1_percent", "top5_percent"}

    weights: Literal["raw", "ema"] = "raw"
    """The weights that the accuracies here are those of; the moving average where the recipe keeps one."""

    params: Count
    """Trainable parameters."""
    test_images: Annotated[int, Field(ge=1, lt=2**63)]
    test_loss: Positive
    """Mean cross-entropy on the test images, in nats; of segmentation over labelled pixels."""
    train_s: Positive
    """Wall time of training, in seconds; cells may have run side by side, so it is no measure of cost."""
    data_s: Positive = 0.0
    """Part of `train_s` spent waiting for batches."""
    processes: Annotated[int, Field(ge=1)] = 1
    """Processes that trained together."""
    images_seen: Count
    """Training images seen, counted with repetition."""
    order_sha256: str
    """Digest of the order in which images were seen."""
    augmentation_sha256: str
    """Digest of every augmentation draw."""
    shared_init_sha256: dict[str, str]
    """Parameter → digest of its initial value, for every parameter of the model."""
    recipe_sha256: str
    classes: tuple[str, ...] = ()
    """Names of the classes, in the order of the labels."""
    evaluated: tuple[Evaluated, ...] = ()
    """The test split by each kind of weights and each way of testing; the first is that of the scores
    above."""

    @model_validator(mode="after")
    def _of_classes_or_of_masks(self) -> Self:
        of_classes = {value is None for value in (self.correct, self.top1_percent, self.top5_percent)}
        if of_classes != {self.miou_percent is not None}:
            raise ValueError("either correct, top1_percent and top5_percent were measured, or miou_percent")
        return self


class Failure(Spec):
    """Why a cell has no result."""

    error: str
    """Class of the exception."""
    message: str
    where: str | None
    """Where it happened, as far as it is known."""


class Record(Spec):
    """One cell's record."""

    schema_version: Literal[3] = SCHEMA_VERSION
    status: Literal["finished", "failed"]
    suite: str
    cell_id: str
    digest: str
    cell: dict[str, Any]
    """The resolved cell, in full (`spec.cells`)."""
    environment: Environment
    started_at: str
    """Start in UTC, ISO 8601."""
    duration_s: float
    resumed: int = 0
    """How often the cell was continued from a checkpoint."""
    train: TrainResult | None = None
    evaluation: EvaluationResult | None = None
    cost: CostResult | None = None
    failure: Failure | None = None
    files: dict[str, str] = Field(default_factory=dict)
    """File beside the record → its SHA-256."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Hold what every reader relies on: a cell that says what it is, and a result or a reason."""
        match self.cell:
            case {"kind": "train", "pair": {"name": str()}, "arm": str(), "seed": int()}:
                result = self.train
            case {"kind": "evaluate", "pair": {"name": str()}, "arm": str()}:
                result = self.evaluation
            case {"kind": "cost", "pair": {"name": str()}}:
                result = self.cost
            case _:
                raise ValueError(
                    "cell is no train cell with pair, arm and seed, no evaluate and no cost cell"
                )
        if self.status == "finished" and result is None:
            raise ValueError("a finished cell needs its result")
        if self.status == "failed" and self.failure is None:
            raise ValueError("a failed cell needs a failure")
        if any("/" in name or name in ("", ".", "..") for name in self.files):
            raise ValueError("files are named without folders")
        return self

    @property
    def kind(self) -> str:
        """`train`, `evaluate` or `cost`."""
        return self.cell["kind"]

    @property
    def pair(self) -> str:
        """Name of the pair."""
        return self.cell["pair"]["name"]

    @property
    def arm(self) -> str | None:
        """Arm of a train or evaluate cell."""
        return self.cell.get("arm")

    @property
    def seed(self) -> int | None:
        """Seed of a train cell, or of the one whose weights are tested."""
        return self.cell.get("seed")
