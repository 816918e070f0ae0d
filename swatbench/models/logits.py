"""What a model gives for images: logits of so many classes, or something that cannot be compared.

Shapes: images (B, C, H, W), logits (B, classes).
"""

from collections.abc import Callable

import torch
from torch import nn

from swatbench.errors import ModelError
from swatbench.models.factory import FORM, reason

UNFIT = (AssertionError, AttributeError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What timm and torch raise where a model cannot be made, or takes no images of a size."""


def classes_of(build: Callable[[], nn.Module], name: str, input_size: tuple[int, int, int]) -> int:
    """Classes of the logits that a model gives for two images.

    It is called without values, on the meta device, and where that fails on the CPU.

    Args:
        build: Makes the model on the CPU.
        name: Its name, for errors.
        input_size: C, H and W of the images.

    Raises:
        ModelError: It refuses the images, or gives something else.
    """
    given = _output(build, name, input_size)
    if not isinstance(given, torch.Tensor):
        what = f"a {type(given).__name__}"
    elif given.ndim != 2 or given.shape[0] != 2:
        what = f"a tensor of shape {tuple(given.shape)}"
    else:
        return int(given.shape[1])
    raise ModelError(
        f"For two images it gives {what}, and no logits of shape (2, classes).",
        where=name,
        fix=f"Name a factory whose model gives logits alone. {FORM}",
    )


def unfit(name: str, input_size: tuple[int, int, int], error: BaseException) -> ModelError:
    """That a model does not take images of a size.

    Args:
        name: The model.
        input_size: C, H and W of the images.
        error: What it raised.
    """
    shape = " × ".join(map(str, input_size))
    return ModelError(
        f"It does not take images of {shape} (C × H × W): {type(error).__name__}: {reason(error)}.",
        where=name,
        fix="Choose another --size.",
    )


def _output(build: Callable[[], nn.Module], name: str, input_size: tuple[int, int, int]) -> object:
    shape = (2, *input_size)
    model = build().eval()
    try:
        return model.to("meta")(torch.empty(shape, device="meta"))
    except Exception:  # noqa: BLE001, S110 (a model that needs values says nothing here; it is called below)
        pass
    model = build().eval()
    try:
        with torch.no_grad():
            return model(torch.zeros(shape))
    except Exception as error:
        raise unfit(name, input_size, error) from error
