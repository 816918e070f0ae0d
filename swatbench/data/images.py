"""Images in memory with their labels, and a dataset of two such splits.

Letters: n images, c channels, h rows, w columns.
"""

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """Images of one split, in their original order.

    Attributes:
        pixels: uint8 tensor (n, c, h, w) in CPU memory.
        labels: int64 tensor (n,), each the number of a class, from 0.
        digest: SHA-256 in hex over the shape, the pixels and the labels.

    Raises:
        ValueError: The two tensors do not fit the description or one another.
    """

    pixels: Tensor
    labels: Tensor
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        _require(self.pixels.dtype == torch.uint8, f"pixels must be uint8, not {self.pixels.dtype}")
        _require(self.labels.dtype == torch.int64, f"labels must be int64, not {self.labels.dtype}")
        _require(self.pixels.ndim == 4, f"pixels must have the shape (n, c, h, w), not {_shape(self.pixels)}")
        n = len(self.pixels)
        _require(n > 0, "there must be at least one image, not 0")
        _require(
            tuple(self.labels.shape) == (n,),
            f"{n} images need labels of shape ({n},), not {_shape(self.labels)}",
        )
        lowest = int(self.labels.min())
        _require(lowest >= 0, f"labels must be 0 or more, not {lowest}")
        object.__setattr__(self, "digest", _digest(self.pixels, self.labels))

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A dataset to train and test on.

    Attributes:
        name: Name of its source.
        train: Images to train on.
        test: Images to test on.
        classes: Name of each class, in the order of the labels.
        mean: Mean of each channel over the training images, with pixels scaled to [0, 1].
        std: Standard deviation of each channel, likewise.
        digest: SHA-256 in hex over all pixels and labels.

    Raises:
        ValueError: The splits, the classes or the channels do not fit one another.
    """

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        train, test = self.train.pixels.shape[1:], self.test.pixels.shape[1:]
        _require(train == test, f"training images are {tuple(train)}, but test images are {tuple(test)}")
        _require(train[0] == 3, f"images must have 3 channels, not {train[0]}")
        highest = int(max(self.train.labels.max(), self.test.labels.max()))
        _require(
            highest < len(self.classes), f"label {highest} is beyond the last of {len(self.classes)} classes"
        )
        _require(min(self.std) > 0, f"std must be above 0, not {self.std}")
        both = f"{self.train.digest}{self.test.digest}".encode()
        object.__setattr__(self, "digest", hashlib.sha256(both).hexdigest())


def _digest(pixels: Tensor, labels: Tensor) -> str:
    value = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    value.update(pixels.contiguous().numpy().data)
    value.update(labels.contiguous().numpy().astype("<i8", copy=False).data)
    return value.hexdigest()


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
