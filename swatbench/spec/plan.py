"""What a suite will do, told before anything heavy is loaded: its training runs and what each will cost."""

from dataclasses import asdict, dataclass

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


def plan(suite: Suite | ProfileSuite) -> tuple[Planned, ...]:
    """List the training runs of a suite in the order of the file; none where it only measures cost.

    Args:
        suite: The suite.
    """
    if isinstance(suite, ProfileSuite):
        return ()
    images = suite.data.facts.train_images
    recipes = {pair: suite.recipe_of(pair) for pair in suite.pairs}
    return tuple(
        Planned(
            pair=pair,
            arm=arm,
            seed=seed,
            images_seen=recipes[pair].images_seen(images),
            forward_macs=forward_macs(suite.row(pair), parts_of(PAIRS[pair], arm)),
            training_macs=training_macs(suite.row(pair), parts_of(PAIRS[pair], arm), recipes[pair], images),
        )
        for pair in suite.pairs
        for seed in suite.seeds
        for arm in suite.arms
    )
