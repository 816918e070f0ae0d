import pytest
from pydantic import ValidationError

from swatbench.spec.load import parse_suite
from swatbench.spec.recipe import Augmentation, Recipe, RecipeChanges

RECIPE = {"epochs": 10, "batch_size": 512, "learning_rate": 3e-3}


@pytest.mark.parametrize(
    ("scaling", "peak"), [("linear", 3e-3 * 512 / 8192), ("sqrt", 3e-3 * (512 / 8192) ** 0.5)]
)
def test_the_peak_rate_follows_the_batch_by_the_stated_rule(scaling, peak):
    recipe = Recipe(**RECIPE, learning_rate_scaling=scaling, learning_rate_batch_size=8192)
    assert recipe.peak_learning_rate == pytest.approx(peak, rel=1e-12)
    assert Recipe(**RECIPE).peak_learning_rate == 3e-3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate_scaling": "linear"}, "learning_rate_scaling: linear and sqrt need"),
        ({"learning_rate_batch_size": 256}, "none takes none"),
        ({"micro_batch_size": 100}, "micro_batch_size: 512 images are not micro-batches of 100"),
        ({"warmup_epochs": 10.0}, "warmup_epochs: 10 must be below epochs"),
        (
            {"batch_size": 21, "micro_batch_size": 7, "augmentation": Augmentation(mixup_alpha=0.5)},
            "an even number, not 7",
        ),
    ],
)
def test_a_recipe_that_does_not_hold_together_is_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(**{**RECIPE, **wrong})


@pytest.mark.parametrize(
    "wrong", [{"crop_scale": (0.9, 0.1)}, {"crop_ratio": (2.0, 1.0)}, {"crop_scale": (0.0, 1.0)}]
)
def test_ranges_of_crops_run_upwards(wrong):
    with pytest.raises(ValidationError, match="is no range of numbers above 0"):
        Augmentation(**wrong)


def test_changes_leave_what_they_do_not_name_and_can_take_a_value_away():
    recipe = Recipe(**RECIPE, drop_path_rate=0.1)
    changed = RecipeChanges(batch_size=768, clip_grad_norm=None).applied(recipe)
    assert changed == recipe.model_copy(update={"batch_size": 768, "clip_grad_norm": None})
    assert RecipeChanges(drop_path_rate=None).applied(recipe).drop_path_rate is None


SUITE = """\
name: small
pairs: [deit_mini, mixer_mini]
seeds: [0]
data: {source: cifar10_subset}
recipe: {epochs: 3, batch_size: 50, learning_rate: 2e-3}
"""


def test_a_pair_s_own_recipe_goes_before_its_family_s():
    text = SUITE + "recipe_for: {deit_mini: {epochs: 5}, deit: {epochs: 4, weight_decay: 0.3}}\n"
    suite = parse_suite(text, file="small.yaml")
    deit, mixer = suite.recipe_of("deit_mini"), suite.recipe_of("mixer_mini")
    assert (deit.epochs, deit.weight_decay) == (5, 0.3)
    assert mixer == suite.recipe


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("recipe_for: {swin: {epochs: 4}}", "no pair of this suite is swin or of that family"),
        ("recipe_for: {diet: {epochs: 4}}", "Did you mean deit"),
        ("recipe_for: {deit: {epoch: 4}}", "Did you mean epochs"),
        ("recipe_for: {deit: {warmup_epochs: 9.0}}", "deit_mini: .*9 must be below epochs"),
        ("recipe_for: {deit: {batch_size: 9000}}", "9000 is more than the 5000 training images"),
    ],
)
def test_changes_that_cannot_be_are_told_by_their_key(line, message):
    with pytest.raises(Exception, match=message) as caught:
        parse_suite(SUITE + line + "\n", file="small.yaml")
    assert "small.yaml:6" in str(caught.value)
