"""What a model gives for images: logits of so many classes, or something that cannot be compared.

Shapes: images (B, C, H, W), logits (B, classes).
"""

import re
from collections.abc import Callable, Sequence

import torch
from timm.layers import PatchEmbed
from torch import nn

from swatbench.errors import ModelError
from swatbench.models.factory import FORM, is_factory, reason

UNFIT = (AssertionError, AttributeError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What timm and torch raise where a model cannot be made, or takes no images of a size."""

_CHANNELS = re.compile(r"expected input\[2, (\d+), \d+, \d+\] to have (\d+) channels")
"""What torch's convolutions say of images of another number of channels, and which that would be."""


def classes_of(
    build: Callable[[], nn.Module], name: str, input_size: tuple[int, int, int], *, whole_patches: bool = True
) -> int:
    """Classes of the logits that a model gives for two images.

    It is called without values, on the meta device, and where that fails on the CPU.

    Args:
        build: Makes the model on the CPU.
        name: Its name, for errors.
        input_size: C, H and W of the images.
        whole_patches: Whether to refuse images that the model would cut at their edges, where it tells its
            patches as timm's models do.

    Raises:
        ModelError: It refuses the images, or gives something else.
    """
    given = _output(build, name, input_size, whole_patches=whole_patches)
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
        fix=_remedy(name, input_size, error),
    )


def _remedy(name: str, input_size: tuple[int, int, int], error: BaseException) -> str:
    """What to do where a model does not take images; of channels no --size decides."""
    if not is_factory(name):
        return "Choose another --size."
    channels, height, width = input_size
    told = _CHANNELS.search(str(error))
    if told is None or int(told[1]) != channels:
        return (
            'Choose another --size, or let the model state its own: default_cfg = {"input_size": (C, H, W)}.'
        )
    stated = f'default_cfg = {{"input_size": ({told[2]}, {height}, {width})}}'
    return f"Let the model state what it takes: {stated}."


def _require_whole_patches(model: nn.Module, name: str, input_size: tuple[int, int, int]) -> None:
    """Refuse images whose last rows or columns no patch would hold."""
    embed = getattr(model, "patch_embed", None) or getattr(model, "stem", None)
    if not isinstance(embed, PatchEmbed) or embed.dynamic_img_pad:
        return
    channels, *sides = input_size
    patch = tuple(map(int, embed.patch_size))
    if any(side % unit for side, unit in zip(sides, patch, strict=True)):
        fitting = [_rounded(sides, patch, up=up) for up in (False, True)]
        raise ModelError(
            f"It does not take images of {channels} × {sides[0]} × {sides[1]} (C × H × W): its patches "
            f"are of {patch[0]} × {patch[1]} pixels, and the last pixels would be left out.",
            where=name,
            fix=f"Choose --size {' or '.join(dict.fromkeys(one for one in fitting if one))}.",
        )


def _rounded(sides: Sequence[int], patch: Sequence[int], *, up: bool) -> str:
    """The nearest size of whole patches below or above, as --size takes it; empty where it has no pixels."""
    height, width = ((side + (unit - 1) * up) // unit * unit for side, unit in zip(sides, patch, strict=True))
    if not (height and width):
        return ""
    return str(height) if height == width else f"{height}x{width}"


def created(
    create: Callable[..., nn.Module], name: str, input_size: tuple[int, int, int], num_classes: int
) -> nn.Module:
    """What `create` makes with so many classes.

    Args:
        create: Makes the model.
        name: Its name, for errors.
        input_size: C, H and W of the images that it is made for.
        num_classes: Classes of its logits.

    Raises:
        ModelError: It cannot be made for them.
    """
    try:
        return create(num_classes=num_classes)
    except UNFIT as error:
        raise unfit(name, input_size, error) from error


def _output(
    build: Callable[[], nn.Module], name: str, input_size: tuple[int, int, int], *, whole_patches: bool
) -> object:
    shape = (2, *input_size)
    model = build().eval()
    if whole_patches:
        _require_whole_patches(model, name, input_size)
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
