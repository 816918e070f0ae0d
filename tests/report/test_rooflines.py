import pytest

from swatbench.report.figures import figures
from swatbench.report.rooflines import Roof, rooflines_table
from swatbench.store.cost import Peaks


def address(stored):
    return stored.folder.name


def roof(*, macs=1_000, moved_bytes=100, measured_s=4.0, **peaks):
    stated = Peaks(**({"flops_per_s": 1_000.0, "bytes_per_s": 200.0} | peaks))
    return Roof(protocol="inference", macs=macs, moved_bytes=moved_bytes, measured_s=measured_s, peaks=stated)


def test_work_that_arithmetic_holds_back():
    found = roof()
    assert found.intensity == 2 * 1_000 / 100
    assert found.attainable_s == 2 * 1_000 / 1_000  # longer than the 100 / 200 of memory
    assert (found.bound, found.share) == ("arithmetic", 2 / 4)
    assert found.flops_per_s == 2 * 1_000 / 4


def test_work_that_memory_holds_back():
    found = roof(moved_bytes=600)
    assert found.attainable_s == 600 / 200  # longer than the 2 of arithmetic
    assert (found.bound, found.share) == ("memory", 3 / 4)


def test_utilisation_is_told_against_the_data_sheet_alone():
    assert roof().mfu is None
    assert roof(datasheet_flops_per_s=5_000.0).mfu == (2 * 1_000 / 4) / 5_000


def test_forward_pass_and_training_step_by_their_own_work(world):
    world.cost(full=True, macs=13_000_000)
    (section,) = world.gather()
    table = rooflines_table([section], address)
    rows = {(row["arm"], row["protocol"]): row for row in table.frame.to_dict(orient="records")}
    forward, step = rows["baseline", "inference"], rows["baseline", "training"]
    matmul = 13_000_000 - 1_000
    assert (forward["macs"], step["macs"]) == (64 * matmul, 3 * 64 * matmul)
    assert (forward["moved_bytes"], step["moved_bytes"]) == (200_000_000, 600_000_000)
    # 200 GFLOP/s and 20 GB/s: 8.3 ms of arithmetic, 10 ms of memory.
    assert forward["attainable_s"] == pytest.approx(200e6 / 20e9)
    assert forward["bound"] == "memory"
    measured = section.pairs[0].cost("baseline").inference_s.p50
    assert forward["share"] == pytest.approx(0.01 / measured)
    assert "Best rates, bf16, eager: 200 GFLOP/s, 20.0 GB/s." in table.note
    titles = [column.title for column in table.columns]
    assert {"Batch", "Nearer limit"} <= {*titles}


def test_the_table_says_where_utilisation_comes_from_or_why_there_is_none(world):
    world.cost(full=True)
    cpu = rooflines_table(world.gather(), address)
    assert "There is no MFU: it is told on CUDA alone" in cpu.note
    assert "MFU" not in [column.title for column in cpu.columns]
    peaks = Peaks(flops_per_s=200e9, bytes_per_s=20e9)
    world.cost(full=True, device="cuda", peaks=peaks)
    assert "the data sheet of this card is not known" in rooflines_table(world.gather(), address).note
    known = peaks.model_copy(update={"datasheet_flops_per_s": 800e9})
    world.cost(full=True, device="cuda", peaks=known)
    cuda = rooflines_table(world.gather(), address)
    assert "MFU is the rate achieved" in cuda.note
    row = cuda.frame.to_dict(orient="records")[0]
    assert row["mfu"] == pytest.approx(row["flops_per_s"] / 800e9)


def test_arms_stand_under_the_roof_in_a_figure(world):
    world.cost(full=True)
    (section,) = world.gather()
    (drawing,) = [item for item in figures(section) if item.name == "roofline"]
    assert drawing.alt.count("of what is attainable") == 2 * 2
    assert "deit_mini swat training step" in drawing.alt
    assert drawing.png.startswith(b"\x89PNG")


def test_without_peaks_there_is_neither_table_nor_figure(world):
    world.cost()
    found = world.gather()
    assert rooflines_table(found, address).views() == []
    assert "roofline" not in [item.name for item in figures(found[0])]
