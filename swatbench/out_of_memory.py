"""Memory that ran out: recognised, and while training answered with a micro-batch that fits.

On a CPU the system may end the process instead, before any error is raised; its parent then tells of it.
"""

import gc
import re
import traceback
from collections.abc import Callable

import torch

from swatbench.errors import MachineError, first_line

_OUT_OF_MEMORY = re.compile(
    r"DefaultCPUAllocator|can't allocate memory|std::bad_alloc"
    r"|CUDA error: out of memory|CU(BLAS|DNN)\w*_ALLOC\w*_FAILED|CUFFT_ALLOC_FAILED"
)
"""What RuntimeErrors of torch and its libraries say when memory ran out."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the CPU or of a CUDA device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def let_go(error: BaseException) -> None:
    """Free what functions that an error ended still hold, as activations; the traceback stays readable."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    free_memory()


def free_memory() -> None:
    """Give back all memory that nothing refers to, on the CPU and on a CUDA device."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def largest_batch(
    step: Callable[[int], object], *, below: int, release: Callable[[], object], multiple_of: int = 1
) -> int | None:
    """Find the largest of below/2, below/4, below/8, ... that memory is enough for.

    Where an error is still being handled, call `let_go` with it first, or its activations stay.

    Args:
        step: Takes a whole training step on so many images.
        below: Images that did not fit.
        release: Drops what the last step left, as gradients; called before each try.
        multiple_of: The batch must be a multiple of this, as of 2 where mixup pairs images.

    Returns:
        The number of images; None where none of these fits.
    """
    batch = below
    while batch % (2 * multiple_of) == 0:
        batch //= 2
        release()
        free_memory()
        if _fits(step, batch):
            return batch
    return None


def memory_error(error: BaseException, *, micro_batch_size: int, fits: int | None) -> MachineError:
    """The message for a user whose micro-batch does not fit.

    Args:
        error: What was raised; the first line of its message is passed on.
        micro_batch_size: Images in one forward pass, which did not fit.
        fits: What `largest_batch` found.
    """
    reason = first_line(error)
    where = "recipe.micro_batch_size"
    if fits is None:
        return MachineError(
            f"Memory ran out with a micro-batch of {micro_batch_size}, and no smaller one fits ({reason}).",
            where=where,
            fix="Set execution.gradient_checkpointing: true, run fewer jobs at once, or free memory.",
        )
    return MachineError(
        f"Memory ran out with a micro-batch of {micro_batch_size}; one of {fits} fits ({reason}).",
        where=where,
        fix=f"Set recipe.micro_batch_size: {fits} (the batch and its result stay the same, gradients are "
        "added up; but mixup and cutmix mix within a micro-batch, drop path draws for it, and batch norm "
        "averages over it). Every arm of the pair is then trained that way.",
    )


def _fits(step: Callable[[int], object], batch: int) -> bool:
    try:
        step(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return False
    return True
