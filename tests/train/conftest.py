import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from timm.layers import set_fused_attn
from torch import nn

from swatbench.spec.suite import Recipe


class NoiseBatches:
    """Noise with labels, in an order that follows from the epoch; stands where the data room's batches go."""

    def __init__(self, n: int = 48, batch_size: int = 8) -> None:
        rng = np.random.default_rng(0)
        self.images = torch.from_numpy(rng.standard_normal((n, 3, 32, 32), dtype=np.float32))
        self.labels = torch.arange(n) % 10
        self.batch_size = batch_size
        self.steps_per_epoch = n // batch_size

    def __call__(self, epoch: int):
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(self.labels)))
        for i in order.split(self.batch_size)[: self.steps_per_epoch]:
            yield self.images[i], self.labels[i]

    def digests(self, epochs: int) -> tuple[str, str]:
        return tuple(hashlib.sha256(f"{name}{epochs}".encode()).hexdigest() for name in ("order", "changes"))


def tiny_deit(*, seed: int = 0, **options) -> nn.Module:
    set_fused_attn(False)
    torch.manual_seed(seed)
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
    head = {"num_classes": 10, "class_token": False, "global_pool": "avg", "fc_norm": False}
    return timm.create_model("deit_tiny_patch16_224", **(size | head | options))


@pytest.fixture
def make_model() -> Callable[..., nn.Module]:
    return tiny_deit


@pytest.fixture
def noise() -> NoiseBatches:
    return NoiseBatches()


@pytest.fixture
def make_noise() -> type[NoiseBatches]:
    return NoiseBatches


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(epochs=3, batch_size=8, learning_rate=1e-3, warmup_epochs=0.5)
