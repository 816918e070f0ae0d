"""Sections → the table of recipes: every setting that training followed, as it was resolved."""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from swatbench.report import words
from swatbench.report.section import Section
from swatbench.report.segmenting import head_in_words, inference_in_words
from swatbench.report.selection import Trained
from swatbench.report.table import Column, Table, make_table
from swatbench.report.tables import Row
from swatbench.spec.cells import Resolution, Speed
from swatbench.spec.dotted import flat
from swatbench.spec.recipe import Augmentation, Ema, Recipe
from swatbench.spec.segmentation import Segmentation

Setting = tuple[str, str]
"""What a setting is of, and its name."""

_OF = ("resolved", "recipe", "segmentation", "backbone", "machine", "speed")

_BELOW: Mapping[str, type[BaseModel]] = MappingProxyType({"augmentation": Augmentation, "ema": Ema})

# Records keep their keys by name, so the order of the reference is taken from the specs.
_NAMES: Mapping[str, int] = MappingProxyType(
    {
        name: place
        for place, name in enumerate(
            dotted
            for spec in (Segmentation, Recipe, Resolution, Speed)
            for top in spec.model_fields
            for dotted in (top, *(f"{top}.{low}" for low in getattr(_BELOW.get(top), "model_fields", ())))
        )
    }
)
"""Setting → its place."""
_LAST = 1 + max(_NAMES.values())
"""Place of those that no spec has."""

_TOLD = (
    "segmentation",
    "backbone",
    "recipe",
    "micro_batch_size",
    "streams",
    "resolution",
    "threads",
    "deterministic",
    "speed",
)
"""Keys of a cell that the table tells of."""

_SHOWN = 10
"""Characters of a digest that are shown."""

_SHARED, _UNLIKE = "shared", "differs"


def recipes_table(sections: Sequence[Section]) -> Table:
    """Every setting of each pair's training; a column a group of pairs only where not all share it."""
    found = {
        (section.machine, runs.pair): _settings(runs.trained)
        for section in sections
        for runs in section.pairs
        if runs.trained
    }
    groups = _groups(found)
    columns = (
        Column(name="of", title="Of"),
        Column(name="setting", title="Setting"),
        Column(name=_SHARED, title=_title(groups)),
        *(
            Column(name=f"group{number}", title=words.listed(list(pairs)))
            for number, pairs in enumerate(groups)
            if len(groups) > 1
        ),
    )
    note = (
        "The recipe as the records keep it; both arms of a pair share it. `Resolved` is what follows from "
        "it: the peak rate after scaling by the batch size, the images in one forward pass, the processes "
        "that trained together."
    )
    finer = [
        {"machine": machine, "pair": pair, "of": of, "setting": name, "value": value}
        for (machine, pair), settings in found.items()
        for (of, name), value in settings.items()
    ]
    rows = [row for section in sections for row in _rows(section.machine, found, groups)]
    names = ("machine", "pair", "of", "setting", "value")
    return make_table("recipes", "Recipes", note, columns, rows, finer=(names, finer))


def _title(groups: Sequence[tuple[str, ...]]) -> str:
    return groups[0][0] if len(groups) == 1 and len(groups[0]) == 1 else "All pairs"


def _groups(found: Mapping[tuple[str, str], Mapping[Setting, str]]) -> list[tuple[str, ...]]:
    """Pairs whose settings are the same on every machine."""
    alike: dict[str, list[str]] = {}
    for pair in dict.fromkeys(pair for _, pair in found):
        own = {machine: [*items.items()] for (machine, name), items in found.items() if name == pair}
        alike.setdefault(json.dumps(own, sort_keys=True), []).append(pair)
    return [tuple(pairs) for pairs in alike.values()]


def _rows(
    machine: str,
    found: Mapping[tuple[str, str], Mapping[Setting, str]],
    groups: Sequence[tuple[str, ...]],
) -> Iterator[Row]:
    here = {pair: settings for (name, pair), settings in found.items() if name == machine}
    for of, name in sorted({setting for settings in here.values() for setting in settings}, key=_place):
        values = {pair: settings.get((of, name), words.NOTHING) for pair, settings in here.items()}
        shared = len(set(values.values())) == 1
        own = {
            f"group{number}": "" if shared else values.get(pairs[0], words.NOTHING)
            for number, pairs in enumerate(groups)
        }
        told = next(iter(values.values())) if shared else _UNLIKE
        yield {"machine": machine, "of": of, "setting": name, _SHARED: told, **own}


def _settings(trained: Sequence[Trained]) -> dict[Setting, str]:
    """Setting → its value in words; several values where runs of the pair differ."""
    found: dict[Setting, dict[str, None]] = {}
    seen: list[Mapping[str, Any]] = []
    for run in trained:
        asked = _asked(run)
        # Hundreds of seeds share their settings.
        if asked in seen:
            continue
        seen.append(asked)
        for of, name, value in _of_asked(asked):
            found.setdefault((of, name), {})[_said(value)] = None
    return {setting: " / ".join(found[setting]) for setting in sorted(found, key=_place)}


def _asked(run: Trained) -> Mapping[str, Any]:
    """What a run was asked, as far as the table tells it."""
    cell = run.stored.record.cell
    return {"processes": run.result.processes} | {key: cell[key] for key in _TOLD if key in cell}


def _of_asked(asked: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    recipe = dict(asked.get("recipe", {}))
    recipe.pop("micro_batch_size", None)
    if asked.get("segmentation"):
        recipe.pop("augmentation", None)  # It is of classifiers; nothing of it was applied.
    yield "resolved", "peak_learning_rate", _peak(asked.get("recipe", {}))
    if "micro_batch_size" in asked:
        yield "resolved", "micro_batch_size", asked["micro_batch_size"]
    yield "resolved", "processes", asked["processes"]
    if asked.get("streams") is not None:
        yield "resolved", "streams", asked["streams"]
    resolution = {key: value for key, value in asked.get("resolution", {}).items() if key != "data_digest"}
    own = {key: asked[key] for key in ("threads", "deterministic") if key in asked}
    yield from _of_masks(asked)
    for of, values in (
        ("recipe", recipe),
        ("machine", {**resolution, **own}),
        ("speed", asked.get("speed", {})),
    ):
        yield from ((of, name, value) for name, value in flat(values).items())


def _of_masks(asked: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """How a segmenter is made and tested, and what its backbone begins with; nothing of a classifier."""
    segmentation = asked.get("segmentation")
    if not segmentation:
        return
    told = {**segmentation, "head": head_in_words(segmentation.get("head"))}
    tests = told.pop("tests", ())
    yield from (("segmentation", name, value) for name, value in flat(told).items())
    for test in tests:
        yield "segmentation", f"tests: {test.get('name')}", inference_in_words(test)
    weights = asked.get("backbone")
    yield "backbone", "begins with", "weights of a classifier" if weights else "fresh weights"
    if weights:
        yield "backbone", "sha256", f"{weights[:_SHOWN]}…"


def _place(setting: Setting) -> tuple[int, int, Setting]:
    """Settings in the order in which a suite's reference names them; unknown ones after the others."""
    of, name = setting
    return _OF.index(of), _NAMES.get(name, _LAST), setting


def _peak(recipe: Mapping[str, Any]) -> float | None:
    """The peak rate after scaling; older recipes, which today's rules may refuse, knew no scaling."""
    try:
        return Recipe.model_validate_json(json.dumps(recipe)).peak_learning_rate
    except ValidationError:
        return recipe.get("learning_rate") if "learning_rate_scaling" not in recipe else None


def _said(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(map(_said, value)) or "none"
    return str(value)
