"""Enters the SWAT models in timm's registry when timm is imported, without importing it any sooner.

`import swatbench` promises that `timm.create_model("swat_deit_ti")` works, and that it answers in a blink
where no model is asked for. So it waits for timm: a finder on `sys.meta_path` lets the import go its way and
registers the models at its end.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

from swatbench.errors import ModelError
from swatbench.spec.catalog import ARMS, PAIRS, find_model


def register_with_timm() -> None:
    """Register now if timm is loaded, else as soon as it is."""
    if "timm" in sys.modules:
        _register()
    elif not any(isinstance(finder, _AfterTimm) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterTimm())


def _register() -> None:
    # Not from models.build: that module may be the one whose import of timm we are in.
    from timm.models import register_model

    for pair in PAIRS.values():
        entrypoint = partial(_create, f"swat_{pair.name}")
        entrypoint.__name__ = f"swat_{pair.name}"  # type: ignore[attr-defined]
        entrypoint.__module__ = __name__
        register_model(entrypoint)


def _create(name: str, pretrained: bool = False, **kwargs: Any) -> Any:
    """A SWAT model by its name, as timm's registry calls it."""
    from swatbench.models.build import create_model

    if pretrained:
        raise ModelError(f"{name} has no pretrained weights.", fix="Build it with pretrained=False.")
    for timm_s_own in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(timm_s_own, None)
    pair, arm = find_model(name)
    return create_model(pair.as_dict(), ARMS[arm], **{"img_size": pair.img_size, **kwargs})


class _AfterTimm(importlib.abc.MetaPathFinder):
    """Finds timm by the usual ways, and has it loaded by a loader that registers afterwards."""

    def __init__(self) -> None:
        self._busy = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The usual spec of timm with our loader; None for every other module."""
        del path, target
        if fullname != "timm" or self._busy:
            return None
        self._busy = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy = False
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(importlib.abc.Loader):
    """Loads as another loader does, then registers."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the other loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the other loader, then register."""
        self._loader.exec_module(module)
        _register()

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)
