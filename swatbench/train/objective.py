"""What is learnt: the loss of a step, and the score of a test after an epoch. All else of a run is the same.

Letters: b images in a micro-batch, K classes, H and W, rows and columns of an image.
"""

from dataclasses import dataclass
from math import log
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swatbench.mask_loss import Outputs, mask_loss
from swatbench.precision import Precision
from swatbench.spec.segmentation import Segmentation
from swatbench.train.batches import TestBatches
from swatbench.train.evaluate import evaluate
from swatbench.train.segment import evaluate_masks
from swatbench.world import World


class Objective(Protocol):
    """What a run learns."""

    @property
    def guessing(self) -> float:
        """Training loss of a model that gives every class the same probability."""
        ...

    def loss(self, outputs: Outputs, targets: Tensor, /) -> Tensor:
        """Mean training loss () of a micro-batch."""
        ...

    def test(
        self,
        model: nn.Module,
        batches: TestBatches,
        /,
        *,
        device: torch.device,
        precision: Precision,
        world: World,
    ) -> dict[str, float]:
        """Scores of a model, by the names that `CurvePoint` has for those of the weights themselves."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The class of an image.

    Attributes:
        num_classes: Classes K.
        label_smoothing: Probability mass spread over the wrong classes.
    """

    num_classes: int
    label_smoothing: float = 0.0

    @property
    def guessing(self) -> float:
        """The loss of guessing, ln K."""
        return log(self.num_classes)

    def loss(self, outputs: Outputs, targets: Tensor, /) -> Tensor:
        """Mean cross-entropy ().

        Args:
            outputs: Logits (b, K).
            targets: Labels (b,), or probabilities (b, K), which have the smoothing in them already.
        """
        assert isinstance(outputs, Tensor), "a classifier has one head"
        # In float32: autocast on a CPU leaves the log-softmax in bfloat16, good for two or three digits.
        smoothing = 0.0 if targets.is_floating_point() else self.label_smoothing
        return F.cross_entropy(outputs.float(), targets, label_smoothing=smoothing)

    def test(
        self,
        model: nn.Module,
        batches: TestBatches,
        /,
        *,
        device: torch.device,
        precision: Precision,
        world: World,
    ) -> dict[str, float]:
        """Top-1 accuracy."""
        score = evaluate(
            model, batches, device=device, precision=precision, world=world, num_classes=self.num_classes
        )
        return {"top1_percent": score.top1_percent}


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """The class of every pixel.

    Attributes:
        num_classes: Classes K.
        segmentation: Says how to test, and what weight an auxiliary head has.
        label_smoothing: Probability mass spread over the wrong classes.
    """

    num_classes: int
    segmentation: Segmentation
    label_smoothing: float = 0.0

    @property
    def guessing(self) -> float:
        """The loss of guessing, ln K for each head."""
        return (1 + self.segmentation.auxiliary_weight) * log(self.num_classes)

    def loss(self, outputs: Outputs, targets: Tensor, /) -> Tensor:
        """Mean cross-entropy () over all pixels, that of an auxiliary head added (see `mask_loss`).

        Args:
            outputs: Logits (b, K, H, W), and after them those of an auxiliary head, at any size.
            targets: Masks (b, H, W).
        """
        return mask_loss(
            outputs,
            targets,
            auxiliary_weight=self.segmentation.auxiliary_weight,
            label_smoothing=self.label_smoothing,
        )

    def test(
        self,
        model: nn.Module,
        batches: TestBatches,
        /,
        *,
        device: torch.device,
        precision: Precision,
        world: World,
    ) -> dict[str, float]:
        """Mean IoU by the first way of testing."""
        score = evaluate_masks(
            model,
            batches,
            segmentation=self.segmentation,
            inference=self.segmentation.tests[0],
            device=device,
            precision=precision,
            world=world,
            num_classes=self.num_classes,
        )
        return {"miou_percent": score.miou_percent}
