"""Mixup and cutmix by timm, each micro-batch from a seed of its own.

Letters: b images in a micro-batch, K classes.
"""

import hashlib
import json
from typing import Final

import numpy as np
import timm
from timm.data.mixup import Mixup
from torch import Tensor

from swatbench.data.draws import mixing_seed
from swatbench.data.seeded import seeded
from swatbench.data.steps import MicroBatch
from swatbench.errors import SuiteError
from swatbench.spec.recipe import Recipe


class Mixing:
    """Mixes the images of a micro-batch with one another, and their labels with them.

    Source: H. Zhang et al., "mixup", ICLR 2018; S. Yun et al., "CutMix", ICCV 2019.
    """

    def __init__(self, recipe: Recipe, *, num_classes: int, micro_batch_size: int, seed: int) -> None:
        """Take the recipe's amounts and its label smoothing.

        Args:
            recipe: The recipe, whose augmentation mixes.
            num_classes: Classes K.
            micro_batch_size: Images b, which are mixed in twos.
            seed: Seed of the run.

        Raises:
            SuiteError: b is odd.
        """
        if micro_batch_size % 2:
            raise SuiteError(
                f"Mixup and cutmix need micro-batches of an even number of images, not {micro_batch_size}.",
                where="recipe.micro_batch_size",
                fix="Choose an even number; null means the batch size by the number of processes.",
            )
        augmentation = recipe.augmentation
        self._seed: Final = seed
        self._options: Final = {
            "mixup_alpha": augmentation.mixup_alpha,
            "cutmix_alpha": augmentation.cutmix_alpha,
            "prob": augmentation.mixing_probability,
            "switch_prob": augmentation.mixing_switch_probability,
            "mode": augmentation.mixing_mode,
            "label_smoothing": recipe.label_smoothing,
            "num_classes": num_classes,
        }
        self._micro_batch_size: Final = micro_batch_size
        self._mix: Final = Mixup(**self._options)

    def __call__(
        self, images: Tensor, labels: Tensor, *, epoch: int, step: int, k: int
    ) -> tuple[Tensor, Tensor]:
        """Mix one micro-batch; the global generators are as before afterwards.

        Args:
            images: Normalised images (b, 3, H, W), which are overwritten.
            labels: int64 labels (b,).
            epoch: Number of the epoch, from 0.
            step: Number of the optimizer step within it.
            k: Number of the micro-batch within the step.

        Returns:
            Images (b, 3, H, W) and float32 targets (b, K) whose rows add up to 1, label smoothing included.
        """
        with seeded(mixing_seed(seed=self._seed, epoch=epoch, step=step, k=k), restore=True):
            return self._mix(images, labels)

    def digest(self, steps: int, epochs: int) -> str:
        """SHA-256 in hex of all that the mixing of so many epochs of so many steps follows from."""
        facts = self._options | {
            "micro_batch_size": self._micro_batch_size,
            "seed": self._seed,
            "steps": steps,
            "epochs": epochs,
            "timm": timm.__version__,
            "numpy": np.__version__,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def mixed(
    mixing: Mixing | None, images: Tensor, labels: Tensor, *, epoch: int, place: MicroBatch
) -> tuple[Tensor, Tensor]:
    """One micro-batch mixed (see `Mixing.__call__`), or as it is where nothing mixes.

    Args:
        mixing: What mixes; null for nothing.
        images: Normalised images (b, 3, H, W), which are overwritten where they are mixed.
        labels: int64 labels (b,).
        epoch: Number of the epoch, from 0.
        place: The micro-batch's place in it.
    """
    if mixing is None:
        return images, labels
    return mixing(images, labels, epoch=epoch, step=place.step, k=place.k)


def make_mixing(recipe: Recipe, *, num_classes: int, micro_batch_size: int, seed: int) -> Mixing | None:
    """The recipe's mixing, or None where it does not mix (see `Mixing`)."""
    if not recipe.augmentation.mixes:
        return None
    return Mixing(recipe, num_classes=num_classes, micro_batch_size=micro_batch_size, seed=seed)
