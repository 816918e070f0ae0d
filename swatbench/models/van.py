"""VAN, the Visual Attention Network, with the interface of a timm model, since timm has none.

B images of C channels on a grid of H × W; every tensor is (B, C, H, W). Four stages with a grid of a 4th,
8th, 16th and 32nd of the image's height and width, rounded up.

Source: Guo et al., "Visual Attention Network" (2022).
"""

from collections.abc import Sequence
from typing import Any

import torch
from timm.layers.classifier import create_classifier
from timm.layers.drop import calculate_drop_path_rates
from timm.layers.helpers import get_device_dtype
from timm.layers.norm import LayerNorm2d
from timm.models import build_model_with_cfg, checkpoint_seq
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from swatbench.errors import ModelError
from swatbench.models.van_layers import OverlapPatchEmbedding, VANBlock, initialize


class VAN(nn.Module):
    """Four stages of patch embedding → blocks → LayerNorm, then the mean over positions and a linear map.

    Args:
        num_classes: Classes; 0 for no classifier.
        in_chans: Channels of the image.
        img_size: Height and width in pixels that the model is designed for. It holds for any other: no
            parameter depends on it, and a structured form takes from it only which kernels it has.
        embed_dims: Channels of each stage.
        mlp_ratios: Hidden channels of an MLP for each channel, by stage.
        depths: Blocks of each stage.
        drop_rate: Dropout before the classifier.
        proj_drop_rate: Dropout within the MLPs.
        drop_path_rate: Stochastic depth of the last block; it rises linearly from 0 at the first.
        global_pool: `avg`, or empty for a model without classifier that keeps the grid.
        device: Where the parameters live.
        dtype: Their type.

    Raises:
        ModelError: A classifier is wanted of a grid that is not pooled, or the pooling is unknown.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 224,
        embed_dims: Sequence[int] = (64, 128, 320, 512),
        mlp_ratios: Sequence[float] = (8, 8, 4, 4),
        depths: Sequence[int] = (3, 3, 12, 3),
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        global_pool: str = "avg",
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.in_chans, self.drop_rate = in_chans, drop_rate
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.num_features = self.head_hidden_size = embed_dims[-1]
        self.grad_checkpointing = False
        self.patch_embeds, self.stages, self.norms = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.feature_info: list[dict[str, Any]] = []
        rates: Any = calculate_drop_path_rates(drop_path_rate, list(depths), stagewise=True)
        for stage, (C, ratio, paths) in enumerate(zip(embed_dims, mlp_ratios, rates, strict=True)):
            kernel, stride = (3, 2) if stage else (7, 4)
            before = embed_dims[stage - 1] if stage else in_chans
            self.patch_embeds.append(OverlapPatchEmbedding(before, C, kernel=kernel, stride=stride, **dd))
            blocks = (VANBlock(C, mlp_ratio=ratio, drop=proj_drop_rate, drop_path=p, **dd) for p in paths)
            self.stages.append(nn.Sequential(*blocks))
            self.norms.append(LayerNorm2d(C, eps=1e-6, **dd))
            self.feature_info.append({"num_chs": C, "reduction": 4 * 2**stage, "module": f"norms.{stage}"})
        self.head_drop = nn.Dropout(drop_rate)
        self._classify(num_classes, global_pool, **dd)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) → (B, num_classes)."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) → (B, num_features, H / 32, W / 32)."""
        for stage in range(len(self.stages)):
            x = self._stage(stage, x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, num_features, H, W) → (B, num_classes), or (B, num_features) before the classifier."""
        x = self.head_drop(self.global_pool(x))
        return x if pre_logits else self.head(x)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,  # noqa: ARG002 (timm's signature; every stage ends with a norm that the next one reads)
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """What the stages put out, as timm gives it: images (B, C, H, W).

        Args:
            x: Images (B, in_chans, H, W).
            indices: Last stages if a number, those of a list, or all.
            norm: Not used.
            stop_early: Whether stages after the last one asked for are left out.
            output_fmt: `NCHW`.
            intermediates_only: Whether to leave out the output of `forward_features`.

        Raises:
            ValueError: Another format is wanted.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt is {output_fmt!r}; VAN's features are NCHW")
        taken, last = feature_take_indices(len(self.stages), indices)
        intermediates = []
        for stage in range(last + 1 if stop_early else len(self.stages)):
            x = self._stage(stage, x)
            if stage in taken:
                intermediates.append(x)
        return intermediates if intermediates_only else (x, intermediates)

    def prune_intermediate_layers(
        self,
        indices: int | list[int] = 1,
        prune_norm: bool = False,  # noqa: ARG002 (timm's signature)
        prune_head: bool = True,
    ) -> list[int]:
        """Drop the stages after the last one asked for, and the classifier, which needs the last of all."""
        taken, last = feature_take_indices(len(self.stages), indices)
        cut = last + 1 < len(self.stages)
        if cut:
            end = last + 1
            self.patch_embeds, self.stages = self.patch_embeds[:end], self.stages[:end]
            self.norms = self.norms[:end]
            self.num_features = self.head_hidden_size = self.feature_info[last]["num_chs"]
        if prune_head or cut:
            self.reset_classifier(0, "")
        return taken

    def get_classifier(self) -> nn.Module:
        """The last linear map."""
        return self.head

    def reset_classifier(
        self,
        num_classes: int,
        global_pool: str | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Replace the classifier, and the pooling if one is named."""
        pool = self.global_pool.pool_type if global_pool is None else global_pool
        self._classify(num_classes, pool, **get_device_dtype(self, device, dtype))
        self.head.apply(initialize).train(self.training)
        self.global_pool.train(self.training)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute the blocks again in the backward pass instead of keeping what they held."""
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Parameters by depth, for rates that fall off layer by layer."""
        blocks: Any = r"^(?:patch_embeds|stages|norms)\.(\d+)"
        if not coarse:
            blocks = [
                (r"^patch_embeds\.(\d+)", (0,)),
                (r"^stages\.(\d+)\.(\d+)", None),
                (r"^norms\.(\d+)", (99999,)),
            ]
        return {"stem": r"^patch_embeds\.0", "blocks": blocks}

    def no_weight_decay(self) -> set[str]:
        """None by name: scales, norms and biases have one dimension, by which timm exempts them."""
        return set()

    def _stage(self, stage: int, x: Tensor) -> Tensor:
        x = self.patch_embeds[stage](x)
        blocks = self.stages[stage]
        x = checkpoint_seq(blocks, x) if self.grad_checkpointing else blocks(x)
        return self.norms[stage](x)

    def _classify(self, num_classes: int, global_pool: str, **dd: Any) -> None:
        if global_pool not in ("avg", "") or (num_classes > 0 and not global_pool):
            raise ModelError(
                f"VAN cannot have {num_classes} classes with global_pool {global_pool!r}.",
                fix="Use 'avg', or '' with num_classes=0 to keep the grid.",
            )
        self.num_classes = num_classes
        layers: Any = create_classifier(self.num_features, num_classes, pool_type=global_pool, **dd)
        self.global_pool, self.head = layers


def van_b2(pretrained: bool = False, **kwargs: Any) -> Any:
    """VAN-B2, whose sizes are the defaults of `VAN`, as timm's registry calls it."""
    features = {"out_indices": (0, 1, 2, 3), "feature_cls": "getter"}
    return build_model_with_cfg(VAN, "van_b2", pretrained, feature_cfg=features, **kwargs)
