import pytest

from swatbench.report.energies import energies_table, joules, why_no_energy
from swatbench.report.page import render
from swatbench.report.states import states_table
from swatbench.store.cost import DeviceState, Energy
from swatbench.store.files import read_record, write_record


def address(stored):
    return stored.folder.name


def counted(folder, **joules):
    """Let a record tell so many joules an image of each arm."""
    record = read_record(folder / "record.json")
    arms = tuple(
        arm.model_copy(
            update={
                "energy": (
                    Energy(
                        protocol="inference",
                        joules_per_image=joules[arm.arm],
                        windows=(0.9 * joules[arm.arm], joules[arm.arm], 1.2 * joules[arm.arm]),
                    ),
                )
            }
        )
        for arm in record.cost.arms
    )
    write_record(folder, record.model_copy(update={"cost": record.cost.model_copy(update={"arms": arms})}))


def test_joules_of_an_image_against_those_of_the_reference(world):
    counted(world.cost(), baseline=0.02, swat=0.03)
    found = world.gather()
    rows = {row["arm"]: row for row in energies_table(found, address).frame.to_dict(orient="records")}
    assert rows["swat"]["ratio"] == pytest.approx(0.03 / 0.02)
    assert rows["baseline"]["ratio"] is None or rows["baseline"]["ratio"] != rows["baseline"]["ratio"]
    assert (rows["swat"]["lowest_j"], rows["swat"]["highest_j"]) == (0.9 * 0.03, 1.2 * 0.03)
    assert rows["swat"]["windows"] == 3
    assert "30.0 mJ" in [view.text for view in energies_table(found, address).views()[1]]
    assert why_no_energy(found[0]) == ""


def test_why_there_is_no_energy_is_said_once_and_where(world):
    world.cost("deit_mini", full=True)
    world.cost("mixer_mini", full=True)
    page = render(world.results, world.results.parent / "reports", world.suite)
    for text in (page.read_text(), page.with_name("report.md").read_text()):
        assert text.count("Energy was not measured: the card has no energy counter.") == 1
    counted(world.cost("swin_mini"), baseline=0.02, swat=0.03)
    (section,) = world.gather()
    arms = {name: section.pairs[-1].cost(name) for name in ("baseline", "swat")}
    assert [joules(arm, "inference") for arm in arms.values()] == [0.02, 0.03]
    assert joules(arms["swat"], "training") is None
    assert why_no_energy(world.gather()[0]).startswith("Energy was not measured everywhere: ")


def test_records_that_do_not_tell_of_energy_say_so(world):
    world.cost()
    found = world.gather()
    unsaid = "records of an older layout do not say why."
    assert why_no_energy(found[0]) == f"Energy was not measured: {unsaid}"
    world.cost("mixer_mini", full=True)
    why = why_no_energy(world.gather()[0])
    assert why == f"Energy was not measured: the card has no energy counter; {unsaid}"
    assert energies_table(found, address).views() == []


def test_the_state_of_the_machine_stands_before_and_after(world):
    world.cost(full=True)
    table = states_table(world.gather(), address)
    assert [column.title for column in table.columns] == ["Pair", "Moment", "Load", "CPU clock", "Governor"]
    texts = [[view.text for view in row] for row in table.views()]
    assert texts == [
        ["deit_mini", "before", "0.25", "2.40 GHz", "performance"],
        ["deit_mini", "after", "1.90", "2.10 GHz", "performance"],
    ]


def test_why_a_card_lowered_its_clocks_is_said(world):
    state = DeviceState(moment="after", sm_hz=1.98e9, throttled_by=("power cap", "heat"))
    world.cost(states=(state,))
    table = states_table(world.gather(), address)
    (texts,) = ([view.text for view in row] for row in table.views())
    assert texts == ["deit_mini", "after", "1.98 GHz", "power cap, heat"]
    world.cost(states=(state.model_copy(update={"throttled_by": ()}),))
    (texts,) = ([view.text for view in row] for row in states_table(world.gather(), address).views())
    assert texts[-1] == "nothing"
