import pytest

from swatbench.report.axes import BY_NAME
from swatbench.report.conditions import calls_of, condition_of, setting_of, timing_of
from swatbench.report.costs import cost_table, ratios_table
from swatbench.report.figures import figures
from swatbench.report.latencies import latencies_table
from swatbench.report.memories import memories_table
from swatbench.report.page import render
from swatbench.report.points import points
from swatbench.report.rooflines import rooflines_table
from swatbench.report.sentences import claims, condition_in_words, sentence, setting_in_words
from swatbench.report.throughputs import throughputs_table
from swatbench.spec.cost import Cost


def address(stored):
    return stored.folder.name


@pytest.fixture
def several(world):
    """Four conditions of one pair, the slowest in the usual one of the training."""
    for arm in ("baseline", "swat"):
        world.train(arm=arm)
    world.cost(mode="compiled", precision="bf16", slowdown=1.1)
    world.cost(mode="eager", precision="fp32", slowdown=1.2)
    world.cost(mode="eager", precision="bf16", layout="channels_last", slowdown=1.3)
    world.cost(mode="eager", precision="bf16", slowdown=1.5)
    (section,) = world.gather()
    return section


def rows(table, **where):
    frame = table.frame
    for name, value in where.items():
        frame = frame[frame[name] == value]
    return frame.to_dict(orient="records")


def test_a_condition_is_its_precision_mode_and_layout(world):
    world.cost(mode="cuda_graph", precision="fp16", layout="channels_last")
    result = world.gather()[0].pairs[0].measured.result
    assert condition_of(result) == "fp16, CUDA graph, channels last"
    assert setting_of(result) == "batch 64 of 32 × 32, fp16, cpu, 2 threads, CUDA graph, channels last"
    assert setting_of(result, without_condition=True) == "batch 64 of 32 × 32, cpu, 2 threads"
    wide = result.model_copy(update={"input_size": (3, 224, 448)})
    assert setting_of(wide, without_condition=True).startswith("batch 64 of 224 × 448, ")


def test_accuracy_is_set_against_the_usual_condition_in_the_precision_of_training(several):
    (runs,) = several.pairs
    assert [item.condition for item in runs.conditions] == [
        "bf16, eager",
        "fp32, eager",
        "bf16, eager, channels last",
        "bf16, compiled",
    ]
    (found,) = several.comparisons
    assert found.cost.inference.ratio == pytest.approx(1.5, rel=0.02)
    (_, swat) = points(several)
    assert BY_NAME["latency"].value(swat) == pytest.approx(0.02 * 1.5, rel=0.1)


def test_without_training_the_first_of_the_usual_conditions_stands_for_all(world):
    world.cost(mode="eager", precision="fp16")
    world.cost(mode="eager", precision="fp32")
    world.cost(mode="compiled", precision="fp32")
    assert world.gather()[0].pairs[0].measured.condition == "fp32, eager"


def test_each_condition_is_compared_by_itself(several):
    (found,) = several.comparisons
    ratios = {cost.condition: cost.inference.ratio for cost in found.costs}
    assert ratios == {
        "bf16, eager": pytest.approx(1.5, rel=0.02),
        "fp32, eager": pytest.approx(1.2, rel=0.02),
        "bf16, eager, channels last": pytest.approx(1.3, rel=0.02),
        "bf16, compiled": pytest.approx(1.1, rel=0.02),
    }
    assert len(several.reported) == 2 + 4


def test_a_newer_record_replaces_that_of_its_own_condition_alone(world):
    old = world.cost(slowdown=3.0)
    other = world.cost(slowdown=1.1, mode="compiled")
    newest = world.cost(arms=("baseline", "tokenization", "swat"))
    (section,) = world.gather()
    assert {item.stored.folder for item in section.left_out} == {old}
    assert {item.stored.folder for item in section.pairs[0].conditions} == {other, newest}


def test_a_later_profile_of_one_model_hides_no_comparison(world):
    pair = world.cost(slowdown=1.5)
    single = world.cost(arms=("baseline",))
    (section,) = world.gather()
    assert [item.stored.folder for item in section.pairs[0].conditions] == [pair, single]
    assert section.left_out == ()
    assert section.comparisons[0].cost.inference.ratio == pytest.approx(1.5, rel=0.02)


def test_another_batch_or_input_replaces_nothing(world):
    folders = [world.cost(slowdown=1.1)]
    folders.append(world.cost(slowdown=1.2, cost=Cost(batch_size=8), batch_size=8))
    folders.append(world.cost(slowdown=1.4, cost=Cost(budget_s=1.0), input_size=(1, 28, 28)))
    (section,) = world.gather()
    assert {item.stored.folder for item in section.pairs[0].conditions} == {*folders}
    (found,) = section.comparisons
    assert {cost.setting: cost.inference.ratio for cost in found.costs} == {
        "batch 64 of 32 × 32, bf16, cpu, 2 threads": pytest.approx(1.1, rel=0.02),
        "batch 8 of 32 × 32, bf16, cpu, 2 threads": pytest.approx(1.2, rel=0.02),
        "batch 64 of 1 × 28 × 28, bf16, cpu, 2 threads": pytest.approx(1.4, rel=0.02),
    }
    titles = [column.title for column in ratios_table([section], address).columns]
    assert {"Batch", "Input"} <= {*titles}
    table = throughputs_table([section], address)
    (row,) = rows(table, arm="swat", protocol="inference", input="1 × 28 × 28")
    assert row["ratio"] == pytest.approx(1 / 1.4, rel=0.02)
    assert "The input is" not in table.note


def test_one_size_of_input_is_said_in_the_note(world):
    world.cost(full=True)
    found = world.gather()
    for table in (throughputs_table, latencies_table, memories_table, rooflines_table):
        made = table(found, address)
        assert "The input is 32 × 32 pixels." in made.note
        assert "Input" not in [column.title for column in made.columns]
        assert "Batch" in [column.title for column in made.columns]


def test_the_setting_is_said_once_and_of_the_pairs_that_differ(world):
    world.cost("deit_mini")
    world.cost("mixer_mini")
    world.cost("swin_mini", precision="fp32")
    (section,) = world.gather()
    assert setting_in_words(section) == (
        "Cost at batch 64 of 32 × 32, bf16, cpu, 2 threads, unless said otherwise."
    )
    first, second, other = claims(section)
    assert "batch" not in f"{first.effect} {first.support} {second.effect} {second.support}"
    assert other.effect.startswith("at batch 64 of 32 × 32, fp32, cpu, 2 threads: 1.39 × latency")
    page = render(world.results, world.results.parent / "reports", world.suite)
    for text in (page.read_text(), page.with_name("report.md").read_text()):
        assert text.count("unless said otherwise") == 1


def test_tables_tell_conditions_apart_only_where_there_are_several(world, several):
    cost, ratios = cost_table([several], address), ratios_table([several], address)
    for table in (cost, ratios):
        assert [column.title for column in table.columns].count("Condition") == 1
        assert set(table.frame["condition"]) == {item.condition for item in several.pairs[0].conditions}
    assert len(rows(cost)) == 4 * 2
    assert cost.note.startswith("Measured at batch 64 of 32 × 32, cpu, 2 threads. ")
    assert "never across" in ratios.note
    world.machine = "another-cpu"
    world.cost()
    alone = [section for section in world.gather() if section.machine == "another-cpu"]
    for table in (cost_table(alone, address), ratios_table(alone, address)):
        assert "Condition" not in [column.title for column in table.columns]
        assert set(table.facts["condition"]) == {"bf16, eager"}


def test_counts_stand_once_and_times_in_every_condition(several):
    table = ratios_table([several], address)
    assert len(rows(table, quantity="MACs")) == len(rows(table, quantity="parameters")) == 1
    assert [row["ratio"] for row in rows(table, quantity="forward pass")] == [
        pytest.approx(factor, rel=0.02) for factor in (1.5, 1.2, 1.3, 1.1)
    ]


def test_counts_that_a_condition_does_not_share_are_told_of_it(world):
    world.cost()
    world.cost(mode="compiled", disagree=("swat",))
    found = rows(ratios_table(world.gather(), address), quantity="MACs")
    assert [(row["condition"], row["verdict"]) for row in found] == [
        ("bf16, eager", "exact"),
        ("bf16, compiled", "counters disagree"),
    ]


def test_a_sentence_names_the_condition_where_it_must(world, several):
    said = sentence(several.comparisons[0]).support
    assert ", in bf16, eager (3 further conditions in the table of ratios): 1.16 × MACs, " in said
    world.machine = "another-cpu"
    world.cost()
    world.machine = "third-cpu"
    world.cost(mode="compiled")
    usual, _, compiled = world.gather()
    assert sentence(usual.comparisons[0]).support.startswith("1.16 × MACs, ")
    assert sentence(compiled.comparisons[0]).support.startswith("in bf16, compiled: 1.16 × MACs, ")
    assert condition_in_words(several) == "Cost is that in bf16, eager. Further conditions are in the tables."
    assert condition_in_words(usual) == ""
    assert condition_in_words(compiled) == "Cost is that in bf16, compiled."


def test_pairs_that_were_measured_otherwise_are_told_apart(world):
    world.cost("deit_mini")
    world.cost("mixer_mini", mode="compiled")
    (section,) = world.gather()
    assert condition_in_words(section) == (
        "Cost is that in bf16, eager (deit_mini) and bf16, compiled (mixer_mini)."
    )


def test_figures_of_cost_name_their_condition_and_those_of_counts_do_not(several):
    told = {drawing.name: "Cost is that in bf16, eager." in drawing.caption for drawing in figures(several)}
    assert told == {
        "accuracy_macs": False,
        "accuracy_params": False,
        "accuracy_latency": True,
        "accuracy_throughput": True,
        "accuracy_training": True,
        "accuracy_memory": True,
        "accuracy_training_memory": True,
        "curves_accuracy": False,
        "curves_loss": False,
        "time_ratio": True,
    }


def test_samples_that_are_gone_take_away_the_times_of_their_condition_alone(world):
    world.cost()
    world.cost(mode="compiled", keep_samples=False)
    (section,) = world.gather()
    usual, compiled = section.comparisons[0].costs
    assert usual.inference is not None
    assert (compiled.inference, compiled.macs) == (None, usual.macs)
    assert [item.what for item in section.refusals] == [
        "inference time in bf16, compiled",
        "training time in bf16, compiled",
    ]


def test_calls_come_by_protocol_and_batch_with_how_they_were_timed(world):
    world.cost(sweep=(256, 8))
    measured = world.gather()[0].pairs[0].measured
    calls = calls_of(measured.cost("swat"), measured.result)
    assert [(call.protocol, call.batch_size, call.samples) for call in calls] == [
        ("inference", 8, "inference@8"),
        ("inference", 64, "inference"),
        ("inference", 256, "inference@256"),
        ("training", 8, "training@8"),
        ("training", 64, "training"),
        ("training", 256, "training@256"),
    ]
    assert timing_of(measured.result, "inference", 64).calls_per_sample == 4
    assert timing_of(measured.result, "inference", 256).calls_per_sample == 2
    assert timing_of(measured.result, "training", 256) is None


@pytest.mark.usefixtures("several")
def test_the_page_shows_every_condition(world):
    page = render(world.results, world.results.parent / "reports", world.suite)
    for text in (page.read_text(), page.with_name("report.md").read_text()):
        assert "bf16, eager, channels last" in text
        assert "in bf16, eager (3 further conditions in the table of ratios): 1.16 × MACs" in text
        assert text.count("Further conditions are in the tables.") == 6
    cost = (page.parent / "tables" / "cost.csv").read_text()
    assert cost.count('"bf16, compiled"') == 2
