"""Layers that tests of hand-written forms compare, and their drawn forms."""

import copy

import torch
from torch import nn

from swatbench.swat.geometry import TokenImage
from swatbench.swat.mixing import StructureAwareMlp


def mlp(kernel, *, features=6, hidden=16, prefix=0, seed=0):
    torch.manual_seed(seed)
    positions = TokenImage(c=1, h=5, w=7)
    fc1, fc2 = nn.Linear(features, hidden), nn.Linear(hidden, features)
    plain = {name: nn.Identity() for name in ("drop1", "norm", "drop2")}
    return StructureAwareMlp(
        fc1=fc1, fc2=fc2, act=nn.GELU(), kernel=kernel, positions=positions, prefix=prefix, **plain
    )


def drawn_form(layer):
    """A copy with the same values that computes operator by operator."""
    drawn = copy.deepcopy(layer)
    drawn.fused = False
    return drawn
