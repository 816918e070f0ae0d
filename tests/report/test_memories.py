from swatbench.report.memories import KINDS, memories_table
from swatbench.report.page import render


def address(stored):
    return stored.folder.name


def test_the_peak_and_its_parts_by_arm_and_call(world):
    world.cost(full=True)
    table = memories_table(world.gather(), address)
    rows = {(row["arm"], row["protocol"]): row for row in table.frame.to_dict(orient="records")}
    assert len(rows) == 2 * 2
    swat = rows["swat", "training"]
    weights = 4 * 260_000
    assert swat["peak_bytes"] == 360 * 2**20
    assert (swat["weights_bytes"], swat["gradients_bytes"], swat["optimizer_bytes"]) == (
        weights,
        weights,
        2 * weights,
    )
    assert (swat["saved_bytes"], swat["working_bytes"]) == (100 * 2**20, 120 * 2**20)
    assert (swat["largest_batch"], swat["limit_bytes"]) == (640, 2**30)


def test_a_search_that_ended_before_memory_did_is_said(world):
    world.cost(full=True)
    table = memories_table(world.gather(), address)
    place = [column.name for column in table.columns].index("largest_batch")
    shown = {row[place].text for row in table.views()}
    assert shown == {"8,192 (or more: the search ended)", "640"}


def test_columns_without_a_value_are_not_shown_and_the_kind_is_explained(world):
    world.cost(full=True)
    table = memories_table(world.gather(), address)
    assert "Reserved" not in [column.title for column in table.columns]
    assert KINDS["resident growth"] in table.note
    assert KINDS["allocated"] not in table.note
    world.machine = "some-gpu"
    folder = world.cost(full=True, memory_kind="allocated", device="cuda")
    record = folder / "record.json"
    record.write_text(record.read_text().replace('"reserved_bytes": null', '"reserved_bytes": 1048576'))
    table = memories_table([world.gather()[1]], address)
    assert set(table.frame["reserved_bytes"]) == {2**20}
    assert "Reserved" in [column.title for column in table.columns]
    assert KINDS["allocated"] in table.note


def test_records_without_parts_have_no_such_table(world):
    world.cost()
    table = memories_table(world.gather(), address)
    assert table.views() == []
    page = render(world.results, world.results.parent / "reports", world.suite)
    assert "### Memory" not in page.with_name("report.md").read_text()
