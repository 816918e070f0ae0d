"""swatbench: does a structural change to a token-based model help, and what does it cost?

Importing it registers the SWAT models with timm, as `swat_<pair>`, whenever timm itself is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from swatbench.registration import register_with_timm

if TYPE_CHECKING:
    from swatbench.models.apply import apply_swat
    from swatbench.models.build import build_model
    from swatbench.models.fold import fold_attention
    from swatbench.models.release import convert_state_dict
    from swatbench.models.warm_start import warm_start
    from swatbench.report.page import render
    from swatbench.run import run_suite
    from swatbench.spec.load import load_suite
    from swatbench.store.files import read_suite
    from swatbench.swat.geometry import Geometry

__version__ = "0.1.0"

_HOMES = {
    "Geometry": "swatbench.swat.geometry",
    "apply_swat": "swatbench.models.apply",
    "build_model": "swatbench.models.build",
    "convert_state_dict": "swatbench.models.release",
    "fold_attention": "swatbench.models.fold",
    "load_suite": "swatbench.spec.load",
    "read_suite": "swatbench.store.files",
    "render": "swatbench.report.page",
    "run_suite": "swatbench.run",
    "warm_start": "swatbench.models.warm_start",
}

__all__ = [
    "Geometry",
    "apply_swat",
    "build_model",
    "convert_state_dict",
    "fold_attention",
    "load_suite",
    "read_suite",
    "render",
    "run_suite",
    "warm_start",
]

register_with_timm()


def __getattr__(name: str) -> object:
    """Import a name's home when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The names that a user may import."""
    return [*__all__, "__version__"]
