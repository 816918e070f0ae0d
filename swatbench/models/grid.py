"""The token grid that a model is working on, known to every layer that convolves over it.

Blocks of a ViT see N tokens and not how they lie. The patch embedding knows: from the size that the model was
built or last set for, or, where it takes any size, from the image at hand.
"""

from typing import Any

from timm.layers.patch_embed import PatchEmbed


class TokenGrid:
    """Rows and columns of the tokens that a patch embedding makes, as one image of positions.

    A model that takes images of any size remembers the last one it saw; with gradient checkpointing, backward
    must follow before a forward of another size.

    Args:
        embed: The patch embedding.
        dynamic: Whether it takes images of any size and then gives (B, H, W, C).

    Raises:
        ValueError: The model neither has an input size nor takes any.
    """

    def __init__(self, embed: PatchEmbed, *, dynamic: bool) -> None:
        if embed.grid_size is None and not dynamic:
            raise ValueError("the model has no input size; build it with an img_size")
        self._embed = embed
        self._seen: tuple[int, int] | None = None
        if dynamic:
            embed.register_forward_hook(self._see)

    @property
    def shape(self) -> tuple[int, int, int]:
        """One image of H × W positions."""
        H, W = self._seen or self._embed.grid_size
        return 1, H, W

    def _see(self, _embed: object, _inputs: object, output: Any) -> None:
        self._seen = (output.shape[1], output.shape[2])
