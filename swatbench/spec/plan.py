"""What a suite will do, told before anything heavy is loaded: its training runs and its measurements."""

from dataclasses import asdict, dataclass
from typing import Any

from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.spec.estimate import forward_macs, training_macs
from swatbench.spec.suite import ProfileSuite, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One training run.

    Attributes:
        pair: Name of the pair.
        arm: Name of the arm.
        seed: Its seed.
        images_seen: Training images, counted with repetition.
        forward_macs: Estimated multiply-accumulates of one image's forward pass; None where unknown.
        training_macs: Estimated multiply-accumulates of the whole training; None where unknown.
    """

    pair: str
    arm: str
    seed: int
    images_seen: int
    forward_macs: int | None
    training_macs: int | None

    def as_dict(self) -> dict[str, str | int | None]:
        """The run as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCost:
    """One measurement of cost.

    Attributes:
        pair: Name of the pair.
        precision: Autocast type; `auto` where the machine decides.
        mode: How calls reach the device.
        layout: Memory layout.
        batch_sizes: Images in a timed call, the cell's own batch first.
        timing_s: Time after which no further round of timing is begun, over all batches and protocols.
    """

    pair: str
    precision: str
    mode: str
    layout: str
    batch_sizes: tuple[int, ...]
    timing_s: float

    def as_dict(self) -> dict[str, Any]:
        """The measurement as JSON values."""
        return asdict(self)


def plan_costs(suite: Suite | ProfileSuite) -> tuple[PlannedCost, ...]:
    """List the measurements of cost in the order of the file.

    Args:
        suite: The suite.
    """
    cost = suite.cost
    if cost is None:
        return ()
    batches = tuple(dict.fromkeys((cost.batch_size, *cost.sweep)))
    return tuple(
        PlannedCost(
            pair=pair,
            precision=precision,
            mode=mode,
            layout=layout,
            batch_sizes=batches,
            timing_s=cost.budget_s * len(batches) * len(cost.protocols),
        )
        for pair in suite.pairs
        for precision, layout, mode in cost.conditions(suite.execution.precision)
    )


def plan(suite: Suite | ProfileSuite) -> tuple[Planned, ...]:
    """List the training runs of a suite in the order of the file; none where it only measures cost.

    Args:
        suite: The suite.
    """
    if isinstance(suite, ProfileSuite):
        return ()
    # Of all seeds alike, of which there may be thousands.
    facts = {(pair, arm): _facts(suite, pair, arm) for pair in suite.pairs for arm in suite.arms}
    return tuple(
        Planned(pair=pair, arm=arm, seed=seed, **facts[pair, arm])
        for pair in suite.pairs
        for seed in suite.seeds
        for arm in suite.arms
    )


def _facts(suite: Suite, pair: str, arm: str) -> dict[str, Any]:
    """What is known of a training run beforehand."""
    images, recipe = suite.data.facts.train_images, suite.recipe_of(pair)
    seen = recipe.images_seen(images)
    # Of a head over a backbone nothing is counted by arithmetic alone.
    if suite.segmentation is not None:
        return {"images_seen": seen, "forward_macs": None, "training_macs": None}
    row, parts = suite.row(pair), parts_of(PAIRS[pair], arm)
    return {
        "images_seen": seen,
        "forward_macs": forward_macs(row, parts),
        "training_macs": training_macs(row, parts, recipe, images),
    }
