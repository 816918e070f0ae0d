"""The catalogue as people read it: a table of all pairs, and what is in one model.

    C = c × h × w   channels of a token, cut into c segments of h × w sub-patches
    H × W           the grid of tokens
    E               channels between the tokenizer's two convolutions

Source: `swatbench.spec.catalog`; sizes by stage from `swatbench.spec.sizes`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from swatbench.report.published import published_for, published_rows
from swatbench.report.words import decimal, quantity
from swatbench.spec.catalog import (
    ARMS,
    CLASS_TOKEN,
    FAMILY_PARTS,
    PAIRS,
    PARTS,
    PUBLISHED_DEIT,
    Pair,
    arms_of,
    find_model,
    parts_of,
)
from swatbench.spec.sizes import Stage, patch_of, stages_of
from swatbench.swat.geometry import stem

PAIR_COLUMNS = ("pair", "timm model", "input", "H × W", "c × h × w", "E", "published top-1, baseline → SWAT")
ARM_COLUMNS = ("arm", "parts", "in the families")
LEGEND = (
    "H × W and c × h × w are those of the first stage. A model's name is a pair, as deit_ti, or an arm and a "
    "pair, as swat_deit_ti; --model NAME tells what is in it."
)

_OVERLAPPING = frozenset({"deit"})
"""Families whose tokenizer's first convolution reaches over its stride."""

Row = tuple[str, ...]


def catalogue() -> dict[str, Any]:
    """The whole catalogue as JSON values."""
    return {
        "arms": {arm: list(parts) for arm, parts in ARMS.items()},
        "families": {family: list(parts) for family, parts in FAMILY_PARTS.items()},
        "pairs": [{**pair.as_dict(), "arms": list(arms_of(pair))} for pair in PAIRS.values()],
        "published": [asdict(row) for row in published_rows()],
    }


def pair_rows() -> list[Row]:
    """A row for each pair, under `PAIR_COLUMNS`; grid and token are those of the first stage."""
    return [_pair_row(pair) for pair in PAIRS.values()]


def arm_rows() -> list[Row]:
    """A row for each arm, under `ARM_COLUMNS`: its parts, and the families whose pairs have it."""
    having: dict[str, dict[str, None]] = {}
    for pair in PAIRS.values():
        for arm in arms_of(pair):
            having.setdefault(arm, {})[pair.family] = None
    return [
        (arm, "all that the family has" if arm == "swat" else _listed(parts), ", ".join(having[arm]))
        for arm, parts in ARMS.items()
    ]


def describe(name: str) -> dict[str, Any]:
    """What is in one model, as JSON values.

    Args:
        name: A pair for its baseline, or an arm and a pair, as `swat_swin_t`.

    Raises:
        ModelError: No model has that name.
    """
    pair, arm = find_model(name)
    parts = parts_of(pair, arm)
    stages = stages_of(pair) or ()
    return {
        "model": name,
        "pair": pair.name,
        "arm": arm,
        "timm_model": pair.timm_model,
        "timm_kwargs": {**pair.timm_kwargs, **(PUBLISHED_DEIT if CLASS_TOKEN in parts else {})},
        "registered_as": name if arm == "swat" or name == pair.timm_model else None,
        "parts": list(parts),
        "parts_not_in_it": [part for part in FAMILY_PARTS[pair.family] if part not in parts],
        "parts_not_in_family": [part for part in PARTS if part not in FAMILY_PARTS[pair.family]],
        "img_size": pair.img_size,
        "stages": [{"C": s.C, "H": s.H, "W": s.H, "blocks": s.depth} for s in stages],
        "geometry": _geometry(pair, parts, stages) if set(parts) & set(PARTS) else None,
        "published": [asdict(point) for point in published_for([pair.name]) if point.arm == arm],
    }


def describe_rows(found: Mapping[str, Any]) -> list[Row]:
    """Name and value of each line about one model.

    Args:
        found: What `describe` gave.
    """
    registered = found["registered_as"]
    rows = [
        ("model", found["model"]),
        ("pair", found["pair"]),
        ("arm", found["arm"]),
        ("timm model", found["timm_model"]),
        ("its arguments", _listed(f"{name}={value!r}" for name, value in found["timm_kwargs"].items())),
        ("timm.create_model", f'"{registered}"' if registered else "not registered: for suites and profile"),
        ("parts in it", _listed(found["parts"])),
        ("parts not in it", _listed(found["parts_not_in_it"])),
        ("parts that its family lacks", _listed(found["parts_not_in_family"])),
        ("input", _sides(found["img_size"], found["img_size"])),
        ("tokens, H × W", _listed(_sides(stage["H"], stage["W"]) for stage in found["stages"])),
        ("channels, C", _listed(stage["C"] for stage in found["stages"])),
        ("blocks", _listed(stage["blocks"] for stage in found["stages"])),
    ]
    return [*rows, *_geometry_rows(found["geometry"] or {}), *map(_published_row, found["published"])]


def _geometry(pair: Pair, parts: tuple[str, ...], stages: tuple[Stage, ...]) -> dict[str, Any]:
    """Sizes of the structured layers; null for a part that is not in the model."""
    return {
        "alpha": pair.alpha,
        "tokens": [[stage.c, stage.side, stage.side] for stage in stages],
        "stem_width": pair.stem_width if "tokenization" in parts else None,
        "stem": _stem(pair) if "tokenization" in parts else None,
        "token_kernels": [s.token_kernel for s in stages] if "token_mixing" in parts else None,
        "grid_kernels": [s.grid_kernel for s in stages] if "channel_mixing" in parts else None,
        "merge_kernels": [s.merge_kernel for s in stages[:-1]] if "merging" in parts else None,
    }


def _stem(pair: Pair) -> dict[str, int] | None:
    """Kernels and strides of the tokenizer's two convolutions."""
    patch = patch_of(pair)
    if patch is None:
        return None
    sizes = stem(patch, pair.alpha, overlap=pair.family in _OVERLAPPING)
    first, second = sizes.strides
    return {"kernel1": sizes.kernel, "stride1": first, "kernel2": second, "stride2": second}


def _geometry_rows(geometry: Mapping[str, Any]) -> Iterable[Row]:
    if not geometry:
        return
    yield "alpha", str(geometry["alpha"])
    yield "c × h × w", _listed(_sides(*token) for token in geometry["tokens"])
    if stem_sizes := geometry["stem"]:
        k1, s1, k2, s2 = stem_sizes.values()
        E, c = geometry["stem_width"], geometry["tokens"][0][0]
        yield "tokenizer", f"3 → {E} by {k1} × {k1} stride {s1}, {E} → {c} by {k2} × {k2} stride {s2}"
    for name, title in _KERNELS.items():
        if geometry[name]:
            yield title, _listed(_sides(kernel, kernel) for kernel in geometry[name])


_KERNELS = {
    "token_kernels": "kernels within tokens",
    "grid_kernels": "kernels among tokens",
    "merge_kernels": "kernels of merging",
}


def _published_row(point: Mapping[str, Any]) -> Row:
    numbers = f"{quantity(point['params'])} parameters, {quantity(point['macs'])} MACs"
    params = f"parameters {point['params_note']}" if point["params_note"] else ""
    notes = "; ".join(filter(None, (point["source"], point["accuracy_note"], params)))
    return "published", f"top-1 {decimal(point['top1_percent'])} %, {numbers} ({notes})"


def _pair_row(pair: Pair) -> Row:
    stages = stages_of(pair)
    first = stages[0] if stages else None
    tops = [f"{decimal(row.top1_percent)} %" for row in published_for([pair.name])]
    return (
        pair.name,
        pair.timm_model,
        _sides(pair.img_size, pair.img_size),
        _sides(first.H, first.H) if first else "",
        _sides(first.c, first.side, first.side) if first else "",
        str(pair.stem_width),
        " → ".join(tops) or "not published",
    )


def _sides(*sizes: int) -> str:
    return " × ".join(map(str, sizes))


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "none"
