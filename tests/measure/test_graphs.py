"""A call as a CUDA graph, on a device that is played by lists; `test_cuda` does the same on a real one."""

from contextlib import contextmanager

import pytest
import torch

from swatbench.errors import MachineError, ModelError
from swatbench.measure import graphs
from swatbench.measure.graphs import WARMUP_CALLS, capture


class Card:
    """Takes the place of torch.cuda: notes what happens, and a graph replays what was called inside it.

    As in torch, leaving a recording that failed raises an error of its own.
    """

    def __init__(self):
        self.log = []
        self.streams = 0
        self.output = torch.zeros(1)

    def call(self):
        self.log.append("call")
        return self.output

    def Stream(self):
        self.streams += 1
        return Stream(self, "side")

    def current_stream(self):
        return Stream(self, "main")

    @contextmanager
    def stream(self, stream):
        self.log.append(f"on {stream.name}")
        yield
        self.log.append(f"off {stream.name}")

    def CUDAGraph(self):
        return Graph(self)

    @contextmanager
    def graph(self, _graph):
        self.log.append("record")
        try:
            yield
        except Exception as error:
            raise RuntimeError("operation failed due to a previous error during capture") from error
        self.log.append("recorded")


class Stream:
    def __init__(self, card, name):
        self._card, self.name = card, name

    def wait_stream(self, other):
        self._card.log.append(f"{self.name} waits for {other.name}")


class Graph:
    def __init__(self, card):
        self._card = card

    def replay(self):
        self._card.log.append("replay")


@pytest.fixture
def card(monkeypatch):
    card = Card()
    for name in ("Stream", "current_stream", "stream", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(card, name))
    graphs._side_stream.cache_clear()
    yield card
    graphs._side_stream.cache_clear()


def test_a_cpu_is_refused():
    with pytest.raises(MachineError, match="cuda_graph needs a CUDA device") as refused:
        capture(lambda: torch.zeros(1), "cpu")
    assert refused.value.where == "cost.modes"


def test_nothing_is_recorded_before_the_first_call(card):
    capture(card.call, "cuda")
    assert card.log == []


def test_a_call_is_warmed_up_on_a_side_stream_recorded_once_and_replayed(card):
    captured = capture(card.call, "cuda")
    assert captured() is card.output
    warm_up = ["side waits for main", "on side", *["call"] * WARMUP_CALLS, "off side", "main waits for side"]
    assert card.log == [*warm_up, "record", "call", "recorded", "replay"]
    card.log.clear()
    assert captured() is card.output
    assert card.log == ["replay"]


def test_all_warm_ups_share_one_side_stream(card):
    capture(card.call, "cuda")()
    capture(card.call, "cuda")()
    assert card.streams == 1


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (RuntimeError("CUDA error: operation not permitted when stream is capturing"), ModelError),
        (ValueError("not while recording"), ModelError),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
    ],
)
def test_what_cannot_be_recorded_is_told_and_memory_that_ran_out_is_left_to_others(card, raised, told):
    def call():
        if "record" in card.log:
            raise raised
        return card.call()

    with pytest.raises(told, match=str(raised)):
        capture(call, "cuda")()
