"""A function run by several processes that have joined one another."""

import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch

from swatbench.errors import SwatbenchError
from swatbench.processes import context
from swatbench.world import World, joined, world_of

WAIT = timedelta(seconds=40)


def in_world(call: Callable[[World], Any], size: int, *, wait: timedelta = WAIT) -> list[Any]:
    """What each process returns, or the SwatbenchError that it met, or its exit code if it gave neither."""
    start, port = context("torch", "pytest", "swatbench.train.evaluate"), _free_port()
    running = []
    for rank in range(size):
        ours, theirs = start.Pipe(duplex=False)
        process = start.Process(target=_one, args=(call, rank, size, port, wait, theirs), daemon=True)
        process.start()
        theirs.close()
        running.append((process, ours))
    ends = time.monotonic() + 90
    try:
        return [_answer(process, ours, ends) for process, ours in running]
    finally:
        for process, _ in running:
            process.kill()


def torchrun_variables(rank: int, size: int, port: int) -> dict[str, str]:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}
    return {name: str(value) for name, value in place.items()} | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _one(call, rank, size, port, wait, pipe):
    torch.set_num_threads(1)
    os.environ.update(torchrun_variables(rank, size, port))
    world = world_of()
    try:
        with joined(world, device="cpu", timeout=wait):
            answer = call(world)
    except SwatbenchError as error:
        answer = error
    pipe.send(answer)


def _answer(process, pipe, ends):
    if not pipe.poll(max(0, ends - time.monotonic())):
        raise TimeoutError("a process neither answered nor ended")
    try:
        return pipe.recv()
    except EOFError:
        process.join(10)
        return process.exitcode
