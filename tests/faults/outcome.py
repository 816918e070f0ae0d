"""What a harness found, as a flat JSON object with the versions that it was found with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import swatbench
from swatbench.store.provenance import git_state, package_versions


def write_outcome(path: Path, found: Mapping[str, Any], *, packages: tuple[str, ...]) -> None:
    """Write counts with the version of the code and of some packages, and print them."""
    commit, _ = git_state(Path(swatbench.__file__).parent)
    versions = package_versions(("swatbench", *packages))
    whole = {**found, "commit": (commit or "unknown")[:10], **versions}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1) + "\n")
    print(json.dumps(whole))
