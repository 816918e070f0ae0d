"""What `swatbench profile` asks of one model or of two: how to measure them, and what to leave to them."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from swatbench.spec.base import Spec
from swatbench.spec.catalog import ARMS, find_model
from swatbench.spec.cost import Cost, distinct
from swatbench.spec.execution import Execution, Switch
from swatbench.spec.segmentation import Segmentation

Side = Annotated[int, Field(ge=1, le=16_384)]
"""Height or width of an image in pixels."""


class ProfileRequest(Spec):
    """Models to be measured beside one another, which need not be in the catalogue."""

    models: Annotated[tuple[str, ...], Field(min_length=1, max_length=2), AfterValidator(distinct)]
    """Their names, as `models.named.find_named` takes them; the first is the reference of every ratio."""
    cost: Cost = Cost()
    """What to measure, and for how long."""
    size: tuple[Side, Side] | None = None
    """H and W of the images; null for what the models are made for."""
    num_classes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Classes of the logits; null for the models' own."""
    segmentation: Segmentation | None = None
    """How the models become segmenters, which the catalogue's alone can; null for classifiers."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to measure."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast type, where `cost.precisions` is null."""
    fused_attention: Switch = "auto"
    """timm's fused attention; `auto` is on for CUDA and off for CPU."""

    @model_validator(mode="after")
    def _segmenters_can_be_trained(self) -> Self:
        if self.segmentation is not None:
            self.segmentation.check_cost("batch_size", self.cost)
        return self

    @property
    def execution(self) -> Execution:
        """Where and in what arithmetic that is, as a suite says it."""
        return Execution(device=self.device, precision=self.precision, fused_attention=self.fused_attention)


def check_name(name: str) -> None:
    """Refuse a model's name that is seen to be wrong before torch and timm are loaded.

    Only names that begin as an arm of the catalogue does can be judged so early.

    Raises:
        ModelError: The catalogue has no such model.
    """
    if ":" not in name and name.startswith(tuple(f"{arm}_" for arm in ARMS)):
        find_model(name)


def size_of(text: str) -> tuple[int, int]:
    """H and W of an image size in words.

    >>> size_of("224"), size_of("512x2048")
    ((224, 224), (512, 2048))

    Raises:
        ValueError: The text is no such size.
    """
    found = re.fullmatch(r"([0-9]{1,5})(?:[x×]([0-9]{1,5}))?", text.replace(" ", ""))
    if found is None:
        raise ValueError(f"{text!r} is no image size: write 224, or height × width as 512x2048")
    height, width = found[1], found[2] or found[1]
    return int(height), int(width)
