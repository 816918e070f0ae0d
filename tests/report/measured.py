"""Synthetic modules and times of operators, laid beside a cost record of `World.cost`, and its tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swatbench.report.breakdowns import breakdown_table
from swatbench.report.profile import ProfileTable, profile_tables
from swatbench.report.table import Table
from swatbench.store.cost import ArmCost, ModuleCost, Spent
from swatbench.store.files import Stored, read_record, write_record
from swatbench.store.rows import write_rows

STEPS_S = {
    ("inference", "forward"): 0.020,
    ("training", "forward"): 0.022,
    ("training", "backward"): 0.040,
    ("training", "optimizer"): 0.002,
}
"""Seconds of the reference's profiled steps."""

SHARES = {
    ("blocks.*.attn.qkv", "token mixing", "matrix product"): 0.50,
    ("blocks.*.mlp.fc1", "channel mixing", "matrix product"): 0.30,
    ("blocks.*.mlp.act", "channel mixing", "GELU"): 0.10,
    ("patch_embed.proj", "tokenization", "convolution"): 0.06,
    ("blocks.*.norm1", "norms and skips", "layer norm"): 0.04,
}
"""Place, part and operator → share of the reference's step."""

CHANGED = {
    ("blocks.*.attn.qkv", "token mixing", "matrix product"): 0.46,
    ("blocks.*.mlp.act", "channel mixing", "GELU"): 0.19,
    ("blocks.*.norm1", "norms and skips", "layer norm"): 0.043,
    ("blocks.*.mlp.dw", "channel mixing", "depthwise convolution"): 0.38,
}
"""What an arm spends otherwise, as a share of the reference's step."""


def modules_of(cost: ArmCost, *, plain: bool) -> list[ModuleCost]:
    """Modules that hold all parameters and MACs of an arm; one that is not plain mixes channels by depth."""
    rows = [
        ("patch_embed.proj", "Conv2d", "tokenization", 1, 1_600, 500_000),
        ("blocks.*.attn.qkv", "Linear", "token mixing", 6, 40_000, 4_000_000),
        ("blocks.*.attn.proj", "Linear", "token mixing", 6, 10_000, 1_000_000),
        ("blocks.*.mlp.fc1", "Linear", "channel mixing", 6, 60_000, 5_000_000),
        ("blocks.*.norm1", "LayerNorm", "norms and skips", 6, 768, 90_000),
    ]
    if not plain:
        rows[0] = ("patch_embed.proj", "Tokenizer", "tokenization", 1, 1_700, 540_000)
        rows[1] = ("blocks.*.attn.q", "Linear", "token mixing", 6, 39_000, 3_900_000)
        rows[2] = ("blocks.*.attn.proj", "StructureAwareLinear", *rows[2][2:])
        rows.append(("blocks.*.mlp.dw", "Conv2d", "channel mixing", 6, 5_000, 300_000))
    params, macs = (sum(row[column] for row in rows) for column in (4, 5))
    rows.append(("head", "Linear", "head", 1, cost.params - params, cost.macs - macs))
    keys = ("path", "kind", "part", "copies", "params", "macs")
    return [ModuleCost(arm=cost.arm, **dict(zip(keys, row, strict=True))) for row in rows]


def spent_of(arm: str, *, plain: bool, training: bool = True, slowed: float = 1.0) -> list[Spent]:
    """Where an arm's time goes; `slowed` is how many times as long its profiled steps last."""
    shares = SHARES if plain else SHARES | CHANGED
    return [
        Spent(
            arm=arm,
            protocol=protocol,
            path=path,
            part=part,
            operator=operator,
            phase=phase,
            calls=6,
            self_s=slowed * share * seconds,
        )
        for (protocol, phase), seconds in STEPS_S.items()
        if training or protocol == "inference"
        for (path, part, operator), share in shares.items()
    ]


def detail(
    folder: Path, *, spent: bool = True, slowed: Mapping[str, float] | None = None, **changes: Any
) -> Stored:
    """Lay modules and times beside a cost record.

    Args:
        folder: The cell's folder.
        spent: Whether it was profiled.
        slowed: Arm → how many times as long its profiled steps last.
        changes: Fields of the result that are changed.
    """
    record = read_record(folder / "record.json")
    assert record.cost is not None
    cost = record.cost.model_copy(update=changes)
    plain = {arm.arm: arm.arm == cost.reference for arm in cost.arms}
    modules = [row for arm in cost.arms for row in modules_of(arm, plain=plain[arm.arm])]
    files = {**record.files, "modules.jsonl": write_rows(folder, "modules.jsonl", modules)}
    if spent:
        training = cost.arms[0].training_s is not None
        rows = [
            row
            for arm in plain
            for row in spent_of(arm, plain=plain[arm], training=training, slowed=(slowed or {}).get(arm, 1.0))
        ]
        files["breakdown.jsonl"] = write_rows(folder, "breakdown.jsonl", rows)
    record = record.model_copy(update={"cost": cost, "files": files})
    write_record(folder, record)
    return Stored(record=record, folder=folder)


def with_arms(stored: Stored, changes: Mapping[str, Any]) -> tuple[ArmCost, ...]:
    """The arms of a record, each changed alike."""
    assert stored.record.cost is not None
    return tuple(arm.model_copy(update=dict(changes)) for arm in stored.record.cost.arms)


def found(stored: Stored, start: str) -> ProfileTable:
    """The one table of a profile whose title starts so."""
    (table,) = [one for one in profile_tables([stored]) if one.title.startswith(start)]
    assert all(len(row) == len(table.columns) for row in table.rows)
    return table


def breakdown_of(world: Any) -> Table:
    """The table of where the time goes, of a world's records."""
    return breakdown_table(world.gather(), lambda _: "record.json")


def timed_s(world: Any, arm: str, name: str = "training_s") -> float:
    """Median time of an arm in the only measurement of a world."""
    ((measured,),) = [runs.conditions for section in world.gather() for runs in section.pairs]
    return getattr(measured.cost(arm), name).p50
