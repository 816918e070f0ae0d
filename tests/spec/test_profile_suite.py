from pathlib import Path

import pytest

from swatbench.errors import SuiteError
from swatbench.spec.cells import CostCell, Machine
from swatbench.spec.cost import Cost
from swatbench.spec.expand import cost_cells, expand
from swatbench.spec.load import load_suite, load_training_suite, parse_suite
from swatbench.spec.plan import plan, plan_costs
from swatbench.spec.suite import ProfileSuite, Suite

TEXT = """\
name: costs
pairs: [deit_ti, swin_t]
cost:
  modes: [eager, compiled]
  precisions: [fp32, bf16]
  layouts: [contiguous, channels_last]
"""


def parse_plain() -> ProfileSuite:
    suite = parse_suite("name: costs\npairs: [deit_ti]\n", file="costs.yaml")
    assert isinstance(suite, ProfileSuite)
    return suite


@pytest.fixture
def costs() -> ProfileSuite:
    suite = parse_suite(TEXT, file="costs.yaml")
    assert isinstance(suite, ProfileSuite)
    return suite


def test_every_combination_of_a_pair_is_a_cell_of_its_own(costs: ProfileSuite, machine: Machine) -> None:
    cells = expand(costs, machine, cores=2)
    assert {type(cell) for cell in cells} == {CostCell}
    found = [(c.pair["name"], c.resolution.precision, c.layout, c.mode) for c in cells]
    assert found == [
        (pair, precision, layout, mode)
        for pair in ("deit_ti", "swin_t")
        for precision in ("fp32", "bf16")
        for layout in ("contiguous", "channels_last")
        for mode in ("eager", "compiled")
    ]
    assert len({cell.digest for cell in cells}) == len({cell.id for cell in cells}) == 2 * 2**3
    assert [(c.pair, c.precision, c.layout, c.mode) for c in plan_costs(costs)] == found


def test_a_further_mode_leaves_the_others_alone(costs: ProfileSuite, machine: Machine) -> None:
    fewer = costs.model_copy(update={"cost": costs.cost.model_copy(update={"modes": ("eager",)})})
    before = {cell.digest for cell in expand(fewer, machine, cores=2)}
    assert before < {cell.digest for cell in expand(costs, machine, cores=2)}


def test_where_no_precision_is_listed_it_is_the_machine_s(costs: ProfileSuite, machine: Machine) -> None:
    asked = costs.model_copy(update={"cost": costs.cost.model_copy(update={"precisions": None})})
    assert {cell.resolution.precision for cell in expand(asked, machine, cores=2)} == {"fp32"}


def test_what_only_training_follows_is_refused() -> None:
    for key, value in (("tf32", "true"), ("compile", "default"), ("threads", "7"), ("channels_last", "true")):
        with pytest.raises(SuiteError, match=f"execution.{key}: is of training alone"):
            parse_suite(f"{TEXT}execution:\n  {key}: {value}\n", file="costs.yaml")
    parse_suite(f"{TEXT}execution:\n  device: cpu\n  precision: fp32\n", file="costs.yaml")


def test_the_folder_of_single_models_is_no_suite_s() -> None:
    with pytest.raises(SuiteError, match="single models"):
        parse_suite(TEXT.replace("name: costs", "name: models"), file="costs.yaml")


def test_which_arm_is_the_reference_is_part_of_the_cell(machine: Machine) -> None:
    row, both = {"name": "a against b"}, {"a": (), "b": ()}
    asked = {"cost": Cost(), "machine": machine, "cores": 2, "input_size": (3, 32, 32)}
    (one,) = cost_cells(row, both, **asked)
    (other,) = cost_cells(row, dict(reversed(both.items())), **asked)
    assert (one.reference, other.reference) == ("a", "b")
    assert one.id != other.id


def test_the_plan_says_how_long_timing_goes_on(costs: ProfileSuite) -> None:
    swept = costs.model_copy(update={"cost": costs.cost.model_copy(update={"sweep": (1, 64, 8)})})
    assert {one.batch_sizes for one in plan_costs(swept)} == {(64, 1, 8)}
    assert {one.timing_s for one in plan_costs(swept)} == {15.0 * 3 * 2}
    assert {one.precision for one in plan_costs(parse_plain())} == {"auto"}


def test_it_trains_nothing(costs: ProfileSuite) -> None:
    assert plan(costs) == ()


def test_a_suite_that_names_images_must_train(text: str) -> None:
    assert isinstance(parse_suite(text, file="small.yaml"), Suite)
    for key in ("seeds", "data", "recipe"):
        with pytest.raises(SuiteError, match=f"x_{key}: unknown key. Did you mean {key}"):
            parse_suite(text.replace(f"{key}:", f"x_{key}:"), file="small.yaml")


def test_keys_of_training_are_told_where_nothing_is_trained() -> None:
    with pytest.raises(SuiteError, match="num_clases"):
        parse_suite(f"{TEXT}num_clases: 10\n", file="costs.yaml")


def test_whoever_needs_images_is_told_that_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "costs.yaml"
    path.write_text(TEXT)
    assert isinstance(load_suite(path), ProfileSuite)
    with pytest.raises(SuiteError, match="only measures cost"):
        load_training_suite(path)
