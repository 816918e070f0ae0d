"""The table of the sources that swatbench reads itself: sizes and counts known before any image is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Facts of a dataset.

    Attributes:
        img_size: Height and width of an image in pixels; None where images have any size.
        num_classes: Classes.
        train_images: Training images.
        test_images: Test images.
        masks: Whether each image comes with a mask of classes, and not with one label.
    """

    img_size: int | None
    num_classes: int
    train_images: int
    test_images: int
    masks: bool = False


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "cifar10_subset": Source(img_size=32, num_classes=10, train_images=5_000, test_images=1_000),
        "cifar10": Source(img_size=32, num_classes=10, train_images=50_000, test_images=10_000),
        "cifar100": Source(img_size=32, num_classes=100, train_images=50_000, test_images=10_000),
        "garment_canvases": Source(
            img_size=64, num_classes=11, train_images=1_500, test_images=500, masks=True
        ),
        "ade20k": Source(img_size=None, num_classes=150, train_images=20_210, test_images=2_000, masks=True),
    }
)
"""Name of a source, as in a suite's `data.source` → its facts."""
