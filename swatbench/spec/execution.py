"""Where, in what arithmetic and how watched the cells of a suite run."""

from typing import Annotated, Literal

from pydantic import Field

from swatbench.spec.base import Spec

Switch = bool | Literal["auto"]


class Checkpoints(Spec):
    """Which states of a training run are kept: always the last two, and what is asked for here."""

    every_s: Annotated[float, Field(gt=0)] = 600.0
    """Longest time without a checkpoint, in seconds; there is one after every epoch too."""
    keep_every_epochs: Annotated[int, Field(ge=1)] | None = None
    """Keep the state after every so many epochs for good; null for none."""
    keep_best: bool = False
    """Keep the state with the best top-1 accuracy on the test split, for inspection alone."""


class Execution(Spec):
    """Where and in what arithmetic cells run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes CUDA where there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast type; `auto` is bf16 where the hardware computes in it, else fp32. fp16 scales the loss."""
    tf32: bool = False
    """Whether CUDA may round the factors of float32 products to TF32."""
    channels_last: Switch = "auto"
    """Memory layout of images and convolutions while training; `auto` is off, as measured on CPU."""
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = "none"
    """Mode of torch.compile while training."""
    fused_attention: Switch = "auto"
    """timm's fused attention; `auto` is on for CUDA and off for CPU, where it gained nothing in fp32."""
    fused_swat: Switch = "auto"
    """Fused forms of structured layers; `auto` is on for CPU and off for CUDA, where none was measured."""
    fused_optimizer: Switch = "auto"
    """One kernel for a whole optimizer step; `auto` is on where torch has it for the optimizer."""
    gradient_checkpointing: bool = False
    """Whether blocks are computed again in the backward pass, for less memory and more time."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads of one training process."""
    jobs: Annotated[int, Field(ge=1, le=256)] = 1
    """Cells trained at the same time, each in a process of its own; measuring never runs beside anything."""
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = "auto"
    """Processes that decode images for one training process; `auto` follows the number of cores."""
    stall_s: Annotated[float, Field(gt=0)] = 300.0
    """Longest wait for one batch, in seconds, after which the cell fails and says so."""
    deterministic: bool = True
    """Ask torch for deterministic algorithms, so that a run repeats bit for bit on the same machine."""
    checkpoints: Checkpoints = Checkpoints()
    """Which states of a training run are kept."""
    trackers: tuple[Literal["wandb", "mlflow", "trackio"], ...] = ()
    """Services that curves are sent to, beside TensorBoard's files, which are always written."""
