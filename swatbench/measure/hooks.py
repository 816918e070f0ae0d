"""Run-time type checkers that rewrite modules as they are imported: beside them nothing is timed.

Such a hook wraps every annotated function of the modules that it met; a small layer then takes nearly twice
as long, and one arm more so than another. Three libraries have one: jaxtyping and typeguard put a finder into
`sys.meta_path`, beartype's `claw` a loader into `sys.path_hooks`. What was rewritten stays rewritten after
the hook is gone, so the loaders of all imported modules are looked at too.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType

from swatbench.errors import MachineError

_HOOKS = {
    "jaxtyping": "jaxtyping.install_import_hook",
    "typeguard": "typeguard.install_import_hook",
    "beartype": "beartype.claw",
}
"""Package → what of it rewrites modules."""


def refuse_typechecking() -> None:
    """Make sure that no import hook checks types while something is timed.

    Raises:
        MachineError: One is in force, or has rewritten a module.
    """
    found = typechecking(sys.meta_path, sys.path_hooks, tuple(sys.modules.values()))
    if found is not None:
        raise MachineError(
            f"{found} checks types at run time, which nearly doubles the time of small layers.",
            fix="Start without it: nothing is timed while such a hook is in force or after it was.",
        )


def typechecking(
    meta_path: Iterable[object], path_hooks: Iterable[Callable[..., object]], modules: Sequence[ModuleType]
) -> str | None:
    """The import hook that checks types at run time; None where there is none.

    Args:
        meta_path: Finders, as in `sys.meta_path`.
        path_hooks: As in `sys.path_hooks`.
        modules: Those that are imported.
    """
    loaders = (getattr(getattr(module, "__spec__", None), "loader", None) for module in modules)
    classes = [_class_of(one) for one in (*meta_path, *_loaders_of(path_hooks), *loaders)]
    packages = {str(one.__module__).partition(".")[0] for one in classes}
    return next((hook for package, hook in _HOOKS.items() if package in packages), None)


def _class_of(finder: object) -> type:
    return finder if isinstance(finder, type) else type(finder)


def _loaders_of(path_hooks: Iterable[Callable[..., object]]) -> Iterator[object]:
    """Loaders that `FileFinder.path_hook` was given, which it keeps in a closure as (loader, suffixes)."""
    for hook in path_hooks:
        for cell in getattr(hook, "__closure__", None) or ():
            details = cell.cell_contents
            if isinstance(details, tuple):
                yield from (detail[0] for detail in details if isinstance(detail, tuple) and detail)
