import pickle
from types import SimpleNamespace

import pytest

from swatbench.errors import CheckpointError, StoreError
from swatbench.train.state import Listener, RunState
from swatbench.world import World

ERRORS = [
    CheckpointError("The checkpoint is another cell's.", where="newest.ckpt"),
    StoreError("The file cannot be read: Stale file handle.", where="newest.ckpt"),
]


class Relayed(World):
    """Two processes' world in one: what the first one says is kept, pickled, for the second."""

    said = b""

    def from_first(self, value):
        if self.first:
            Relayed.said = pickle.dumps(value)
            return value
        return pickle.loads(Relayed.said)


def run_state(*, first, load):
    stepper = SimpleNamespace(world=Relayed(rank=0 if first else 1, size=2))
    retention = SimpleNamespace(load=load, folder="checkpoints")
    listener = Listener(progress=print, epoch=print, begin=print, note=print)
    return RunState(stepper, retention, every_s=1.0, digest="d" * 64, listener=listener)


@pytest.mark.parametrize("error", ERRORS, ids=["another cell", "disk"])
def test_what_keeps_the_first_process_from_resuming_ends_all_of_them(error):
    def load(*_):
        raise error

    for first in (True, False):
        state = run_state(first=first, load=load if first else None)
        with pytest.raises(type(error), match=error.what) as caught:
            state.resume(steps_per_epoch=6)
        assert (caught.value.where, type(caught.value)) == (error.where, type(error))
