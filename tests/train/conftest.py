import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from timm.layers import set_fused_attn
from torch import nn

from swatbench.precision import loss_scaler
from swatbench.spec.cells import Speed
from swatbench.spec.recipe import Recipe
from swatbench.train.objective import Classes
from swatbench.train.optim import make_optimizer
from swatbench.train.step import Stepper, make_task
from swatbench.world import ALONE, World


class NoiseBatches:
    """Noise with labels, in an order that follows from the epoch; stands where the data room's batches go."""

    def __init__(
        self, n: int = 48, batch_size: int = 8, *, micro_batch_size: int | None = None, world: World = ALONE
    ) -> None:
        rng = np.random.default_rng(0)
        self.images = torch.from_numpy(rng.standard_normal((n, 3, 32, 32), dtype=np.float32))
        self.labels = torch.arange(n) % 10
        self.batch_size = batch_size
        self.steps_per_epoch = n // batch_size
        self.micro_batch_size = micro_batch_size or batch_size // world.size
        self.micro_batches = batch_size // self.micro_batch_size // world.size
        self.world = world

    def __call__(self, epoch: int, *, start: int = 0):
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(self.labels)))
        for step in order.split(self.batch_size)[start : self.steps_per_epoch]:
            for i in step.split(self.micro_batch_size)[self.world.rank :: self.world.size]:
                yield self.images[i], self.labels[i]

    def digests(self, epochs: int) -> tuple[str, str]:
        return tuple(hashlib.sha256(f"{name}{epochs}".encode()).hexdigest() for name in ("order", "changes"))


class FixedTest:
    """Test images, of which each process sees its own."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, world: World = ALONE) -> None:
        self.images = len(images)
        self.positions = np.arange(world.rank, len(images), world.size)
        self._batch = images[self.positions], labels[self.positions]

    def __iter__(self):
        yield self._batch


CPU = torch.device("cpu")
SPEED = Speed(
    tf32=False, channels_last=False, compile="none", fused_optimizer=True, gradient_checkpointing=False
)


def untold(_: object) -> None:
    """Nobody listens."""


def tiny_deit(*, seed: int = 0, **options) -> nn.Module:
    set_fused_attn(False)
    torch.manual_seed(seed)
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
    head = {"num_classes": 10, "class_token": False, "global_pool": "avg", "fc_norm": False}
    return timm.create_model("deit_tiny_patch16_224", **(size | head | options))


def make_stepper(model: nn.Module, recipe: Recipe, *, world: World = ALONE, **options) -> Stepper:
    objective = options.pop("objective", Classes(num_classes=10, label_smoothing=recipe.label_smoothing))
    values = {
        "model": model,
        "task": make_task(model, recipe, SPEED, objective=objective, device=CPU, world=world),
        "optimizer": make_optimizer(model, recipe, fused=True),
        "scaler": loss_scaler("cpu", options.get("precision", "fp32")),
        "recipe": recipe,
        "seed": 0,
        "device": CPU,
        "precision": "fp32",
        "memory_format": torch.contiguous_format,
        "world": world,
    }
    return Stepper(**(values | options))


@pytest.fixture
def make_model() -> Callable[..., nn.Module]:
    return tiny_deit


@pytest.fixture
def make_test() -> type[FixedTest]:
    return FixedTest


@pytest.fixture
def fit_options() -> dict[str, object]:
    """What `fit` is handed beside what a test is about."""
    return {
        "speed": SPEED,
        "objective": Classes(num_classes=10),
        "seed": 0,
        "device": CPU,
        "precision": "fp32",
        "every_s": 1e9,
        "digest": "d" * 64,
    }


@pytest.fixture(name="make_stepper")
def _make_stepper() -> Callable[..., Stepper]:
    return make_stepper


@pytest.fixture
def noise() -> NoiseBatches:
    return NoiseBatches()


@pytest.fixture
def make_noise() -> type[NoiseBatches]:
    return NoiseBatches


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(epochs=3, batch_size=8, learning_rate=1e-3, warmup_epochs=0.5, label_smoothing=0.0)
