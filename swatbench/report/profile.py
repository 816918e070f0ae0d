"""One model's profile as rows of a table."""

from collections.abc import Mapping
from typing import Any

from swatbench.report.words import decimal, duration, quantity, size, whole


def profile_rows(profile: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Name and value of each line, in readable units.

    Args:
        profile: The keys of `swatbench profile --json`.
    """
    return (
        ("model", profile["model"]),
        ("parameters", f"{whole(profile['params'])} ({quantity(profile['params'])})"),
        ("MACs of one image", f"{whole(profile['macs'])} ({quantity(profile['macs'])})"),
        (f"latency of a batch of {profile['batch']}", duration(profile["latency_s"])),
        ("throughput", f"{decimal(profile['images_per_s'])} images/s"),
        ("peak memory of inference", size(profile["peak_bytes"])),
        ("device", profile["device"]),
        ("type", profile["dtype"]),
    )
