"""What went wrong in a step, in words that a user can act on.

Letters: b images in a micro-batch, K classes, H and W, rows and columns of an image.
"""

from torch import Tensor, nn
from torch.func import functional_call

from swatbench.out_of_memory import largest_batch, let_go, memory_error, out_of_memory
from swatbench.precision import autocast
from swatbench.train.step import Stepper


def explain(error: Exception, stepper: Stepper, images: Tensor, labels: Tensor) -> Exception:
    """Say what a user can do about an error of a step, where that is known.

    Where memory ran out, smaller micro-batches are tried, after which model and optimizer are of no use.

    Args:
        error: What was raised.
        stepper: What took the step.
        images: Images (b, 3, H, W) of one micro-batch of it.
        labels: Their labels (b,), or probabilities (b, K), or masks (b, H, W).

    Returns:
        A MachineError, or the error as it is.
    """
    if not out_of_memory(error):
        return error
    let_go(error)
    fits = largest_batch(
        lambda batch: _try(stepper, images[:batch], labels[:batch]),
        below=len(images),
        release=lambda: stepper.optimizer.zero_grad(set_to_none=True),
        multiple_of=_multiple_of(stepper, labels),
    )
    return memory_error(error, micro_batch_size=len(images), fits=fits)


def _multiple_of(stepper: Stepper, labels: Tensor) -> int:
    """2 where one image is too few: for mixing, and for batch norm of maps that a head pools to one pixel."""
    pooled = labels.dim() == 3 and any(
        isinstance(layer, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001
        for layer in stepper.model.modules()
    )
    return 2 if labels.is_floating_point() or pooled else 1


def _try(stepper: Stepper, images: Tensor, labels: Tensor) -> None:
    """Take a step by this process alone, since the others cannot follow.

    The gradients are those of stand-ins: the parameters themselves tell other processes of theirs.
    """
    parameters = dict(stepper.model.named_parameters())
    stand_ins = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    with autocast(stepper.device.type, stepper.precision):
        inputs = (images.to(memory_format=stepper.memory_format),)
        loss = stepper.task.criterion(functional_call(stepper.model, stand_ins, inputs), labels)
    loss.backward()
    for name, value in parameters.items():
        value.grad = stand_ins[name].grad
    stepper.optimizer.step()
