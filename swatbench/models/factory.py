"""Models that a user's own code makes: `package.module:factory`, imported and called without arguments."""

import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from swatbench.errors import ModelError, SwatbenchError, first_line
from swatbench.spec.catalog import suggest

FORM = "Write package.module:factory, as Python imports it, such as nets:small."
SOURCES = ("hf-hub:", "hf_hub:", "local-dir:")
"""Beginnings by which timm knows models that are not in its registry, and which name no factory."""
_DEFAULT_SIZE = (3, 224, 224)


def is_factory(name: str) -> bool:
    """Whether a model's name is that of a factory in a user's code."""
    return ":" in name and not name.startswith(SOURCES)


def make_model(name: str, *, seed: int = 0) -> nn.Module:
    """Import a factory (`import_module`), and call it; what its code prints goes to standard error.

    Args:
        name: `package.module:factory`.
        seed: Seed of the initial values.

    Raises:
        ModelError: It cannot be imported or called, or what it returns is no module on the CPU in float32.
    """
    module = import_module(name)
    attribute = name.partition(":")[2]
    with redirect_stdout(sys.stderr):
        factory = _callable(module, attribute, name)
        torch.manual_seed(seed)  # Only now: the import may have drawn numbers.
        return _module_on_cpu(_run(factory, name, f"{attribute}() raised"), name)


def import_module(name: str) -> ModuleType:
    """Import the module of a factory from `sys.path` and the current folder.

    Args:
        name: `package.module:factory`.

    Raises:
        ModelError: There is no such module, or its code fails.
    """
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise ModelError(f"{name!r} names no factory.", fix=FORM)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    with redirect_stdout(sys.stderr):
        return _imported(module, name)


def own_size(model: nn.Module) -> tuple[int, int, int]:
    """C, H and W that a model states as timm's do, in `pretrained_cfg` or `default_cfg`; else 3, 224, 224."""
    for config in (getattr(model, "pretrained_cfg", None), getattr(model, "default_cfg", None)):
        size = config.get("input_size") if isinstance(config, dict) else getattr(config, "input_size", None)
        if isinstance(size, tuple | list) and len(size) == 3:
            channels, height, width = map(int, size)
            return channels, height, width
    return _DEFAULT_SIZE


def require_new(one: nn.Module, other: nn.Module, name: str) -> None:
    """Refuse a factory whose models share parameters: what is measured must be a model of its own.

    Args:
        one: What the factory returned.
        other: What it returned the next time.
        name: Its name.

    Raises:
        ModelError: They are one model, or have parameters in common.
    """
    shared = {id(value) for value in one.parameters()} & {id(value) for value in other.parameters()}
    if one is other or shared:
        raise ModelError("Its models share parameters.", where=name, fix="Make a new model in every call.")


def reason(error: BaseException) -> str:
    """What an error says in one line, without its end mark."""
    return first_line(error)[:300].rstrip(".: ")


def _imported(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _failed(error, name, f"The module {module} cannot be imported:") from error
        hint = " Leave out .py." if module.endswith(".py") else ""
        raise ModelError(
            f"There is no module {error.name}.",
            where=name,
            fix=f"Call swatbench from the folder that it lies in, or set PYTHONPATH.{hint}",
        ) from error
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise _failed(error, name, f"The module {module} cannot be imported:") from error


def _callable(module: ModuleType, attribute: str, name: str) -> Callable[[], object]:
    try:
        found: Any = attrgetter(attribute)(module)
    except AttributeError:
        known = {key: value for key, value in vars(module).items() if callable(value) and key[0] != "_"}
        has = suggest(attribute, known, far=f"It has {', '.join([*known][:8]) or 'no factory'}.")
        raise ModelError(f"{module.__name__} has no {attribute}.", where=name, fix=has) from None
    if isinstance(found, nn.Module):
        raise ModelError(f"{attribute} is a model.", where=name, fix="Name a function that makes a new one.")
    if not callable(found):
        kind = type(found).__name__
        raise ModelError(f"{attribute} cannot be called: it is a {kind}.", where=name, fix=FORM)
    _require_no_arguments(found, attribute, name)
    return found


def _require_no_arguments(factory: Callable[..., object], attribute: str, name: str) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # Written in C: then the call tells.
        return
    needed = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        fix = "Write a function that calls it with all it needs, and name that."
        raise ModelError(f"{attribute} needs arguments: {', '.join(needed)}.", where=name, fix=fix)


def _run(factory: Callable[[], object], name: str, what: str) -> object:
    try:
        return factory()
    except SwatbenchError:
        raise
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise _failed(error, name, what) from error


def _failed(error: BaseException, name: str, what: str) -> ModelError:
    """What went wrong in a user's code, and in which line of which file."""
    return ModelError(f"{what} {type(error).__name__}: {reason(error)}{_place(error)}.", where=name)


def _place(error: BaseException) -> str:
    """The last line of the user's own that led to an error, also where a library raised it."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return ""  # What it says ends with its own file and line.
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename != __file__]
    frames = [one for one in frames if not _is_library(one.filename)] or frames
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _is_library(filename: str) -> bool:
    """Whether a file is Python's own or an installed package's; Python's frozen modules have no file."""
    parts = Path(filename).parts
    installed = "site-packages" in parts or "dist-packages" in parts
    return installed or filename.startswith(("<frozen ", sysconfig.get_path("stdlib")))


def _module_on_cpu(made: object, name: str) -> nn.Module:
    if not isinstance(made, nn.Module):
        fix = "Return the model itself, a torch.nn.Module."
        raise ModelError(f"It returned no module but a {type(made).__name__}.", where=name, fix=fix)
    for key, value in made.named_parameters():
        if value.device.type != "cpu" or (value.is_floating_point() and value.dtype != torch.float32):
            fix = "Return it on the CPU in float32: --device and --precision say how it is measured."
            what = f"Its parameter {key} is {value.dtype} on {value.device}."
            raise ModelError(what, where=name, fix=fix)
    return made
