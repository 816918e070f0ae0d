"""How far a suite is, from the files of its results alone (no torch)."""

from swatbench.status.suite import MachineStatus, suite_status

__all__ = ["MachineStatus", "suite_status"]
