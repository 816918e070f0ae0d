"""Enters the SWAT models in timm's registry when timm is imported, without importing it any sooner.

`import swatbench` promises that `timm.create_model("swat_deit_ti")` works, and that it answers in a blink
where no model is asked for. So it waits for timm: a finder on `sys.meta_path` lets the import go its way and
registers the models at its end.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from swatbench.errors import ModelError
from swatbench.spec.catalog import PAIRS, Pair, find_model, parts_of

default_cfgs: dict[str, Any] = {}
"""Name → its config, where timm's registry looks for it."""


def register_with_timm() -> None:
    """Register now if timm is loaded, else as soon as it is."""
    if "timm" in sys.modules:
        _register()
    elif not any(isinstance(finder, _AfterTimm) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterTimm())


def _register() -> None:
    # Not from models: a module there may be the one whose import of timm we are in.
    from timm.models import generate_default_cfgs, register_model

    for name, create, pair in _names():
        entrypoint = partial(create, name)
        entrypoint.__name__ = name  # type: ignore[attr-defined]
        entrypoint.__module__ = __name__
        default_cfgs.update(generate_default_cfgs({name: _config(pair, name)}))
        register_model(entrypoint)


def _names() -> Iterator[tuple[str, Callable[..., Any], Pair]]:
    """What is registered: the SWAT arm of every pair, and the one baseline that timm lacks."""
    for pair in PAIRS.values():
        yield f"swat_{pair.name}", _create_swat, pair
    yield "van_b2", _create_van, PAIRS["van_b2"]


def _config(pair: Pair, name: str) -> dict[str, Any]:
    """The config that timm's loaders and the hub read: the baseline's, without its weights."""
    from timm.models import get_pretrained_cfg

    baseline = None if pair.family == "van" else get_pretrained_cfg(pair.timm_model)
    own = {} if baseline is None else {key: getattr(baseline, key) for key in _OF_THE_DATA}
    stem = _STEMS[pair.family]
    return {
        **(own or _VAN),
        "num_classes": pair.num_classes,
        "input_size": (3, pair.img_size, pair.img_size),
        "fixed_input_size": pair.family != "van",
        "first_conv": f"{stem}.conv1" if name.startswith("swat_") else stem,
        "classifier": "head.fc" if pair.family == "swin" else "head",
    }


_OF_THE_DATA = ("mean", "std", "crop_pct", "interpolation")
_VAN = {
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "crop_pct": 0.9,
    "interpolation": "bicubic",
}
_STEMS = {
    "deit": "patch_embed.proj",
    "mixer": "stem.proj",
    "resmlp": "stem.proj",
    "swin": "patch_embed.proj",
    "van": "patch_embeds.0.proj",
}
"""Family → the baseline's first convolution, which tokenization replaces by two."""


def _create_swat(name: str, pretrained: bool = False, **kwargs: Any) -> Any:
    """A SWAT model by its name, as timm's registry calls it."""
    from swatbench.models.build import create_registered

    if pretrained and not (kwargs.get("pretrained_cfg") or kwargs.get("pretrained_cfg_overlay")):
        raise ModelError(f"{name} has no pretrained weights.", fix="Build it with pretrained=False.")
    pair, arm = find_model(name)
    return create_registered(name, pair.as_dict(), parts_of(pair, arm), pretrained=pretrained, **kwargs)


def _create_van(name: str, pretrained: bool = False, **kwargs: Any) -> Any:
    """The plain VAN, as timm's registry calls it."""
    from swatbench.models import van

    return getattr(van, name)(pretrained, **kwargs)


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
