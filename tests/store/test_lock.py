"""One run at a time, and a killed one holds nothing."""

import subprocess
import sys

import pytest

from swatbench.errors import StoreError
from swatbench.store.lock import only_run

HOLD = """
import sys, time
from pathlib import Path
from swatbench.store.lock import only_run

with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_is_gone_however_it_went(tmp_path):
    machine = tmp_path / "suite" / "machine"
    with subprocess.Popen([sys.executable, "-c", HOLD, machine], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="Another run"), only_run(machine):
            pass
        holder.kill()
    with only_run(machine):
        pass
