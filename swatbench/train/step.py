"""One optimizer step: forward and backward of its micro-batches, then clipping, the step and the average.

Letters: b images in a micro-batch, K classes, H and W, rows and columns of an image.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from timm.task import ClassificationTask
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from swatbench.errors import ModelError
from swatbench.precision import Precision, autocast, loss_scaler
from swatbench.spec.cells import Speed
from swatbench.spec.recipe import Recipe
from swatbench.train.objective import Objective
from swatbench.train.optim import make_optimizer
from swatbench.world import World


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stepper:
    """What every step of a run shares.

    Attributes:
        model: The model itself, inside whatever the task wraps it in.
        task: timm's task, which holds the model, its moving average and the training loss.
        optimizer: The optimizer over the model's parameters.
        scaler: Scales the loss in fp16, and does nothing otherwise.
        recipe: The recipe.
        seed: Decides what the model itself draws, as dropout does.
        device: Where all of it is.
        precision: Autocast type of the forward pass.
        memory_format: Memory layout of images.
        world: The processes that train together.
    """

    model: nn.Module
    task: ClassificationTask
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    recipe: Recipe
    seed: int
    device: torch.device
    precision: Precision
    memory_format: torch.memory_format
    world: World

    @property
    def average(self) -> nn.Module | None:
        """The model with the moving average of the weights; None where the recipe keeps none."""
        held = self.task.get_trainable_module(ema=True)
        return None if held is None else held.module  # type: ignore[return-value]

    def take(
        self, micro_batches: Sequence[tuple[Tensor, Tensor]], *, epoch: int, step: int, done: int
    ) -> Tensor:
        """Take a step.

        Args:
            micro_batches: This process's images (b, 3, H, W) and what the objective takes as their targets.
            epoch: Number of the epoch, from 0.
            step: Number of the step in its epoch, from 0.
            done: Steps done in the run once this one is.

        Returns:
            Mean loss () of this process's images, still on the device.
        """
        losses = []
        for number, (images, labels) in enumerate(micro_batches):
            last = number == len(micro_batches) - 1
            self._seed(epoch, step, number * self.world.size + self.world.rank)
            # Gradients cross between processes once a step, in the last backward pass.
            with nullcontext() if last else self.task.no_sync():
                loss = self.loss(images, labels)
                self.scaler.scale(loss / len(micro_batches)).backward()
            losses.append(loss.detach())
        self._update(done)
        return torch.stack(losses).mean()

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Training loss () of a micro-batch (b, 3, H, W) with labels (b,), probabilities (b, K) or masks."""
        with autocast(self.device.type, self.precision):
            return self.task(images.to(memory_format=self.memory_format), labels)["loss"]

    def _seed(self, epoch: int, step: int, micro_batch: int) -> None:
        """Give the model's own draws a stream of this micro-batch, whichever process computes it."""
        sequence = np.random.SeedSequence((self.seed, epoch, step, micro_batch))
        drawn = int(sequence.generate_state(1)[0])
        # Not torch.manual_seed: for each kind of card that is not here, it keeps the call with a traceback,
        # at every step.
        torch.default_generator.manual_seed(drawn)
        if self.device.type == "cuda":
            torch.cuda.manual_seed_all(drawn)

    def _update(self, done: int) -> None:
        if self.recipe.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.task.update_ema(done)


def make_stepper(
    model: nn.Module,
    recipe: Recipe,
    speed: Speed,
    *,
    objective: Objective,
    seed: int,
    device: torch.device,
    precision: Precision,
    world: World,
) -> Stepper:
    """Move a model to its device, and put together all that its steps need.

    Args:
        model: The model with its initial weights.
        recipe: The recipe.
        speed: Switches that trade time and memory.
        objective: What is learnt.
        seed: Decides what the model itself draws.
        device: Where to train.
        precision: Autocast type of the forward pass.
        world: The processes that train together.

    Raises:
        ModelError: The model cannot do what a switch asks for.
        SuiteError: The recipe's optimizer cannot be used.
    """
    model.to(device)
    optimizer = make_optimizer(model, recipe, fused=speed.fused_optimizer)
    return Stepper(
        model=model,
        task=make_task(model, recipe, speed, objective=objective, device=device, world=world),
        optimizer=optimizer,
        scaler=loss_scaler(device.type, precision),
        recipe=recipe,
        seed=seed,
        device=device,
        precision=precision,
        memory_format=torch.channels_last if speed.channels_last else torch.contiguous_format,
        world=world,
    )


def make_task(
    model: nn.Module,
    recipe: Recipe,
    speed: Speed,
    *,
    objective: Objective,
    device: torch.device,
    world: World,
) -> ClassificationTask:
    """Put a model into timm's task, with what the recipe and the switches ask for around it.

    The task is that of a classifier for segmenters too: it hands outputs and targets to the loss as they are.

    Args:
        model: The model, on `device`.
        recipe: The recipe.
        speed: The switches.
        objective: What is learnt.
        device: Where the model is.
        world: The processes that train together.

    Raises:
        ModelError: The model cannot do what a switch asks for.
    """
    if speed.gradient_checkpointing:
        _checkpoint_gradients(model)
    if speed.channels_last:
        model.to(memory_format=torch.channels_last)
    task = ClassificationTask(model, objective.loss, device=device, verbose=False)
    if recipe.ema is not None:
        task.setup_ema(decay=recipe.ema.decay, use_warmup=recipe.ema.warmup)
    if speed.compile != "none":
        task.compile(mode=None if speed.compile == "default" else speed.compile)
    if world.size > 1:
        _share(task, model, device, world)
    return task


def _checkpoint_gradients(model: nn.Module) -> None:
    switch = getattr(model, "set_grad_checkpointing", None)
    if switch is None:
        raise ModelError(
            f"{type(model).__name__} cannot compute its blocks again in the backward pass.",
            where="execution.gradient_checkpointing",
            fix="Leave it out.",
        )
    switch(True)


def _share(task: ClassificationTask, model: nn.Module, device: torch.device, world: World) -> None:
    """Let processes add up their gradients; batch norm sees the images of all of them."""
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):  # noqa: SLF001
        if device.type != "cuda":
            raise ModelError(
                f"{type(model).__name__} has batch norm, which torch shares between processes on CUDA alone.",
                fix="Train it in one process here; a segmenter's head may have another norm "
                "(segmentation.norm: groupnorm).",
            )
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    task.prepare_distributed(device_ids=[world.local_rank] if device.type == "cuda" else None)
