"""Initial values of a structured model: those it shares with its baseline, or those of the released code.

A structured model keeps every linear map of its baseline with its initial values, so that two arms differ in
structure alone. The released code writes the linear maps beside its depthwise convolutions as 1 × 1
convolutions, and so starts them by other rules than the baseline's: torch's default with its random bias in
DeiT and Swin, LeCun normal with zero bias in Mixer and ResMLP.

Source: the released code of SWAT (IJCAI 2023).
"""

from collections.abc import Collection
from typing import Literal

from timm.layers.weight_init import lecun_normal_
from timm.models.mlp_mixer import MlpMixer
from torch import nn

from swatbench.swat.mixing import StructureAwareMlp, StructureAwareTokenLinear

Init = Literal["shared", "released"]
"""Whose initial values the linear maps of structured layers have: the baseline's or the released code's."""


def initialize_as_released(model: nn.Module, layers: Collection[nn.Module]) -> None:
    """Start the linear maps around depthwise convolutions as the released code does, in place.

    Args:
        model: A structured model, whose family decides.
        layers: Its modules that are to start anew.
    """
    start = _lecun if isinstance(model, MlpMixer) else nn.Linear.reset_parameters
    for module in (module for module in model.modules() if module in layers):
        if isinstance(module, StructureAwareMlp):
            start(module.fc1)
            start(module.fc2)
        elif isinstance(module, StructureAwareTokenLinear):
            start(module)


def start_convolutions(module: nn.Module) -> None:
    """Start the convolutions within a module as the released Mixer and ResMLP start every one of theirs."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            _lecun(layer)


def _lecun(layer: nn.Linear | nn.Conv2d) -> None:
    lecun_normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
