"""The processes that train one model together, as torchrun starts them; one process alone is the usual case.

Nothing here loads torch until a group is joined or used.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from swatbench.errors import MachineError, SwatbenchError, first_line

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")

GROUP_TIMEOUT = timedelta(hours=2)
"""Longest wait of one process for the others, as while the first looks at all images."""

_GONE = re.compile(
    r"(closed|reset) by peer|broken pipe|remote ?error|remote process exit|abort", re.IGNORECASE
)
_LATE = re.compile(r"timed? ?out", re.IGNORECASE)


class PeersLostError(MachineError):
    """Another process ended, or did not answer in time; what went wrong there, it said itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One process's place among those that train together.

    `mean`, `gather`, `from_first` and `by_first` must be called by all processes, in the same order; each
    waits for the others. They raise a MachineError where another process ended or did not answer in time.

    Attributes:
        rank: Number of this process, from 0.
        size: Processes in all.
        local_rank: Number of this process on its machine, which is also that of its CUDA device.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and tells the user."""
        return self.rank == 0

    def mean(self, values: "Tensor") -> "Tensor":
        """Mean of every entry over all processes; the same on all of them.

        Args:
            values: Numbers of any shape, of the same shape and type everywhere; they are left as they are.
        """
        if self.size == 1:
            return values
        from torch import cuda, distributed

        total = values.clone()
        with self.needing_peers():
            distributed.all_reduce(total)
            if total.is_cuda:  # NCCL only queues it; a lost process shows where it is waited for.
                cuda.synchronize()
        return total / self.size

    def gather(self, value: Value) -> list[Value]:
        """Every process's value, in the order of ranks, on all of them.

        Args:
            value: Anything that survives pickling; it may be of another size in each process.
        """
        if self.size == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.size
        with self.needing_peers():
            distributed.all_gather_object(values, value)
        return values

    def from_first(self, value: Value) -> Value:
        """The first process's value, on all of them.

        Args:
            value: Anything that survives pickling; what the other processes give is not used.
        """
        if self.size == 1:
            return value
        from torch import distributed

        box: list[Any] = [value]
        with self.needing_peers():
            distributed.broadcast_object_list(box, src=0)
        return box[0]

    def by_first(self, call: Callable[[], Value]) -> Value | SwatbenchError:
        """What the first process finds, on all of them; or the error, not yet raised, that kept it from that.

        Args:
            call: Called by the first process alone.
        """
        found: Any = None
        if self.first:
            try:
                found = call()
            except SwatbenchError as error:
                found = error
        return self.from_first(found)

    @contextmanager
    def needing_peers(self) -> Iterator[None]:
        """Turn what torch raises when another process is gone into one sentence; leave other errors alone.

        Raises:
            PeersLostError: A process ended or did not answer in time (see `lost_peer`).
        """
        try:
            yield
        except RuntimeError as error:
            if not lost_peer(error):
                raise
            late = _LATE.search(str(error)) is not None
            why = "one of them did not answer in time" if late else "one of them has ended"
            raise PeersLostError(
                f"Process {self.rank} of {self.size} lost the others: {why}.",
                fix="See what the others said; then start again with the same command, "
                "and it goes on from the last checkpoint.",
            ) from error


ALONE = World()
"""One process that trains by itself."""


def lost_peer(error: BaseException) -> bool:
    """Whether an error says that another process ended or did not answer, wherever torch raised it.

    Gloo raises a plain RuntimeError, out of a collective as out of the backward pass of
    DistributedDataParallel; NCCL and the store where processes meet have classes of their own. Errors that
    say something else, as that tensors differ in size, are no loss of a process.
    """
    from torch import distributed

    if isinstance(error, distributed.DistNetworkError | distributed.DistStoreError):
        return True
    text = str(error)
    by_backend = isinstance(error, distributed.DistBackendError) or "gloo" in text
    told = _GONE.search(text) or _LATE.search(text)
    return isinstance(error, RuntimeError) and by_backend and told is not None


def world_of(variables: Mapping[str, str] = os.environ) -> World:
    """The place that torchrun gave this process; `ALONE` where WORLD_SIZE is not set.

    Args:
        variables: The environment.

    Raises:
        MachineError: RANK, WORLD_SIZE and LOCAL_RANK are no whole numbers that fit one another.
    """
    if "WORLD_SIZE" not in variables:
        return ALONE
    try:
        rank, size, local = (int(variables[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    except (KeyError, ValueError) as error:
        raise _no_place(variables) from error
    if not 0 <= local <= rank < size:
        raise _no_place(variables)
    return World(rank=rank, size=size, local_rank=local)


@contextmanager
def joined(world: World, *, device: str, timeout: timedelta = GROUP_TIMEOUT) -> Iterator[None]:
    """Join the group of processes for the time of the block; one process alone joins nothing.

    Args:
        world: This process's place.
        device: `cuda` talks by NCCL, and by gloo about what is no tensor; `cpu` by gloo.
        timeout: Longest wait for the others, here and in every call of `world`.

    Raises:
        MachineError: The others cannot be reached, or this process has no CUDA device of its own.
    """
    if world.size == 1:
        yield
        return
    from torch import distributed

    if device == "cuda":
        _take_device(world)
    backend = "cuda:nccl,cpu:gloo" if device == "cuda" else "gloo"
    try:
        distributed.init_process_group(backend, rank=world.rank, world_size=world.size, timeout=timeout)
    except (RuntimeError, ValueError) as error:
        raise _unreachable(world, error) from error
    try:
        yield
    except BaseException:
        # Gloo leaves at once, and the others hear of it; NCCL may wait for those that are gone, and the
        # process ends anyway.
        if device == "cpu":
            distributed.destroy_process_group()
        raise
    distributed.destroy_process_group()


def _take_device(world: World) -> None:
    import torch

    count = torch.cuda.device_count()
    if world.local_rank >= count:
        raise MachineError(
            f"Process {world.local_rank} of this machine has no CUDA device of its own: there are {count}.",
            fix=f"Start at most {count} with --nproc-per-node.",
        )
    torch.cuda.set_device(world.local_rank)


def _unreachable(world: World, error: Exception) -> MachineError:
    return MachineError(
        f"Process {world.rank} of {world.size} cannot reach the others: {first_line(error).rstrip('.')}.",
        fix="Start all of them by torchrun, with an address and port that every machine can reach.",
    )


def _no_place(variables: Mapping[str, str]) -> MachineError:
    found = ", ".join(f"{name}={variables.get(name, '')!r}" for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    return MachineError(
        f"These variables give a process no place among others: {found}.",
        fix="Start it by torchrun, or unset WORLD_SIZE to train in one process.",
    )
