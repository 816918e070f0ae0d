"""How cost is measured: on what batches, in what arithmetic, layout and mode, and for how long."""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field

from swatbench.spec.base import BatchSize, GrownSpec

Mode = Literal["eager", "compiled", "cuda_graph"]
Layout = Literal["contiguous", "channels_last"]
Precision = Literal["fp32", "bf16", "fp16"]
Protocol = Literal["inference", "training"]
Item = TypeVar("Item")
PrecisionT = TypeVar("PrecisionT", bound=str)


def distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The items, if none is listed twice.

    Raises:
        ValueError: One is.
    """
    for item, times in Counter(items).items():
        if times > 1:
            raise ValueError(f"{item} is listed {times} times")
    return items


class Cost(GrownSpec):
    """How the arms of a pair are timed and measured; all arms stay resident and are timed interleaved.

    Modes, precisions and layouts are taken in every combination; each is a cell of its own, with its own
    counts, memory, times and noise floor.
    """

    _gained: ClassVar[frozenset[str]] = frozenset({"deployed"})

    batch_size: BatchSize = 64
    """Images in one timed call."""
    sweep: Annotated[tuple[BatchSize, ...], AfterValidator(distinct)] = ()
    """Further batch sizes that inference and training are timed at, for throughput."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads while measuring; null for all cores."""
    max_rounds: Annotated[int, Field(ge=6, le=10_000)] = 60
    """Most rounds; in each, every arm and the baseline's twin are timed once, in random order."""
    budget_s: Annotated[float, Field(gt=0)] = 15.0
    """Time after which no further round of one protocol at one batch size is begun, in seconds."""
    training: bool = True
    """Also time and measure one training step (forward, backward, optimizer)."""
    modes: Annotated[tuple[Mode, ...], Field(min_length=1), AfterValidator(distinct)] = ("eager",)
    """How a call reaches the device: op by op, through torch.compile, or as one CUDA graph."""
    precisions: Annotated[tuple[Precision, ...], Field(min_length=1), AfterValidator(distinct)] | None = None
    """Autocast types; null for that of `execution.precision`."""
    layouts: Annotated[tuple[Layout, ...], Field(min_length=1), AfterValidator(distinct)] = ("contiguous",)
    """Memory layouts of images and convolutions."""
    breakdown: bool = True
    """Also say by torch.profiler which module and which operator the time goes to."""
    largest_batch: bool = False
    """Also search the largest batch that fits into memory."""
    deployed: Literal[True] | None = None
    """Also count and time arms with structured attention as they are deployed, folded into linear maps."""
    memory_limit_bytes: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    """Memory that the largest batch must fit into; null for all of the device's that is free."""

    def conditions(self, precision: PrecisionT) -> Iterator[tuple[Precision | PrecisionT, Layout, Mode]]:
        """Every combination of precision, layout and mode.

        Args:
            precision: What is taken where none is listed.
        """
        return product(self.precisions or (precision,), self.layouts, self.modes)

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """What is timed."""
        return ("inference", "training") if self.training else ("inference",)
