"""Import hooks that check types, by stand-ins that carry the names of the real ones."""

import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

import pytest

from swatbench.errors import MachineError
from swatbench.measure.hooks import refuse_typechecking, typechecking
from swatbench.measure.latency import interleave


def stand_in(name, module, base=object):
    return type(name, (base,), {"__module__": module})


FINDERS = {
    "jaxtyping.install_import_hook": stand_in("_JaxtypingFinder", "jaxtyping._import_hook"),
    "typeguard.install_import_hook": stand_in("TypeguardFinder", "typeguard"),
}
BEARTYPE = stand_in(
    "BeartypeSourceFileLoader", "beartype.claw._importlib._clawimpfileloader", base=SourceFileLoader
)


def test_nothing_is_found_here():
    assert typechecking(sys.meta_path, sys.path_hooks, tuple(sys.modules.values())) is None
    refuse_typechecking()


@pytest.mark.parametrize("hook", FINDERS)
def test_a_finder_is_found_and_refused(monkeypatch, hook):
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, FINDERS[hook]()])
    with pytest.raises(MachineError, match=hook):
        refuse_typechecking()


def test_the_loader_of_a_path_hook_is_found(monkeypatch):
    hook = FileFinder.path_hook((BEARTYPE, SOURCE_SUFFIXES))
    monkeypatch.setattr(sys, "path_hooks", [hook, *sys.path_hooks])
    with pytest.raises(MachineError, match=r"beartype\.claw"):
        refuse_typechecking()


def test_a_module_that_was_rewritten_is_found_when_the_hook_is_gone():
    loader = stand_in("_JaxtypingLoader", "jaxtyping._import_hook")()
    rewritten, usual = ModuleType("rewritten"), ModuleType("usual")
    rewritten.__spec__ = ModuleSpec("rewritten", loader)
    usual.__spec__ = ModuleSpec("usual", SourceFileLoader("usual", "usual.py"))
    assert typechecking([], [], [usual]) is None
    assert typechecking([], [], [usual, rewritten]) == "jaxtyping.install_import_hook"


def test_a_package_with_a_similar_name_is_none_of_them():
    assert typechecking([stand_in("Finder", "beartyped.hooks")()], [], []) is None


def test_nothing_is_timed_beside_a_hook(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, FINDERS["typeguard.install_import_hook"]()])
    made = []
    with pytest.raises(MachineError, match="typeguard"):
        interleave({"a": lambda: made.append(1)}, order_seed=0, max_rounds=6, budget_s=1.0)
    assert made == []
