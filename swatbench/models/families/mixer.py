"""SWAT in MLP-Mixer and ResMLP.

Source: SWAT (IJCAI 2023), sections 3 and 4; sizes and initialisation of the released models.
"""

from typing import Any

from timm.models.mlp_mixer import MixerBlock, ResBlock
from torch import nn

from swatbench.models.grid import TokenGrid
from swatbench.models.initialization import start_convolutions
from swatbench.models.replace import patch_embedding, structure_mlp, tokenize
from swatbench.swat.geometry import Geometry, TokenImage, token_image
from swatbench.swat.mixing import Combine, StructureAwareTokenLinear


def structure(model: Any, parts: frozenset[str], g: Geometry, combine: Combine) -> None:
    """Give a Mixer or ResMLP structured parts, in place.

    Args:
        model: timm's MlpMixer of mixer or residual blocks.
        parts: SWAT parts.
        g: Sizes.
        combine: Not used: there is no attention.

    Raises:
        ValueError: A layer or size does not fit.
    """
    del combine
    embed = patch_embedding(model)
    if "tokenization" in parts:
        tokenize(embed, g, overlap=False, position=False)
        start_convolutions(embed.proj)
    image = token_image(model.embed_dim, g.alpha)
    grid = TokenGrid(embed, dynamic=False)
    kernel = g.grid_kernel_at(0, g.grid(embed.patch_size[0], embed.grid_size))
    for block in model.blocks:
        if "token_mixing" in parts:
            _mix_tokens(block, image, g.token_kernel_at(0, g.alpha))
        if "channel_mixing" in parts:
            block.mlp_channels = structure_mlp(block.mlp_channels, kernel=kernel, positions=grid)
            start_convolutions(block.mlp_channels)


def _mix_tokens(block: Any, image: TokenImage, kernel: int) -> None:
    if type(block) is ResBlock and type(block.linear_tokens) is nn.Linear:
        block.linear_tokens = StructureAwareTokenLinear(block.linear_tokens, image, kernel=kernel)
        start_convolutions(block.linear_tokens)
    elif type(block) is MixerBlock:
        block.mlp_tokens = structure_mlp(block.mlp_tokens, kernel=kernel, positions=image)
        start_convolutions(block.mlp_tokens)
    else:
        raise ValueError(f"{type(block).__name__} has no plain token mixing to be structured")
