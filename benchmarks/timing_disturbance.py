"""A process that keeps one core busy and leaves it idle in turn, until its parent is gone or ends it.

python timing_disturbance.py SECONDS [SECONDS ...]

The seconds are those of busy and idle stretches by turns, from the first one again after the last.
"""

import os
import sys
import time
from collections.abc import Sequence
from itertools import count


def main(stretches_s: Sequence[float]) -> None:
    """Switch one core on and off."""
    parent = os.getppid()
    print("ready", flush=True)
    for turn in count():
        end = time.monotonic() + stretches_s[turn % len(stretches_s)]
        if turn % 2:
            time.sleep(max(0.0, end - time.monotonic()))
        while time.monotonic() < end:
            pass
        if os.getppid() != parent:
            return


if __name__ == "__main__":
    main([float(stretch) for stretch in sys.argv[1:]])
