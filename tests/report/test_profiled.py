import pytest

from swatbench.console import print_table
from swatbench.report.breakdowns import breakdown_bars, difference_sentences
from swatbench.report.canvas import colours
from swatbench.report.profile import profile_json, profile_tables
from swatbench.report.profile_shares import SHOWN
from swatbench.report.profile_table import WIDTH
from swatbench.report.profiled import MOST_SLOWED, MOST_UNLIKE, Profiled, disturbance
from swatbench.store.cost import Spent
from swatbench.store.files import Stored
from swatbench.store.rows import write_rows
from tests.report.measured import CHANGED, SHARES, breakdown_of, detail, found, timed_s


@pytest.mark.parametrize("slowed", [{"swat": 4.0, "baseline": 4.0}, {"swat": 2.0}])
def test_a_disturbed_profile_is_marked_and_not_read(world, slowed):
    detail(world.cost(), slowed=slowed)
    (section,) = world.gather()
    factors = [
        f"{slowed.get(arm, 1.0) * 0.020 * share / timed_s(world, arm, 'inference_s'):.1f} ×"
        for arm, share in (("baseline", 1.0), ("swat", sum((SHARES | CHANGED).values())))
    ]
    assert difference_sentences(section)[0] == (
        "deit_mini, swat, forward pass: the profile was disturbed "
        f"({' and '.join(factors)} the timed step), so it is not read"
    )
    assert breakdown_bars(section, colours(["deit_mini"]), "") is None
    assert {row[-1].text for row in breakdown_of(world).views()} == {"disturbed, not read"}


def test_one_disturbed_arm_leaves_the_others(world):
    detail(world.cost(arms=("baseline", "tokenization", "swat")), slowed={"swat": 2.5})
    (section,) = world.gather()
    told_of = {"disturbed" in sentence for sentence in difference_sentences(section) if "swat" in sentence}
    assert told_of == {True}
    drawn = breakdown_bars(section, colours(["deit_mini"]), "").alt
    assert "baseline" in drawn
    assert "tokenization forward pass" in drawn
    assert "swat" not in drawn


def steps(*factors, has_idle=True):
    row = Spent(
        arm="a",
        protocol="training",
        path="head",
        part="head",
        operator="copy",
        phase="forward",
        calls=1,
        self_s=1.0,
    )
    return [Profiled(arm="a", rows=(row,), timed_s=1 / factor, has_idle=has_idle) for factor in factors]


def test_a_profile_is_read_up_to_its_limits():
    assert disturbance(steps(MOST_SLOWED)) == ""
    assert "(3.1 × the timed step)" in disturbance(steps(3.1))
    assert disturbance(steps(1.25, 1.25 * MOST_UNLIKE)) == ""
    assert "(1.2 × and 1.9 × the timed step)" in disturbance(steps(1.2, 1.9))
    assert disturbance([Profiled(arm="a", rows=(), timed_s=None)]) == ""


def test_on_cuda_idle_time_makes_no_profile_disturbed():
    assert disturbance(steps(0.3, 0.9, has_idle=False)) == ""
    assert disturbance(steps(0.3, 0.9))
    assert disturbance(steps(1.0, 3.5, has_idle=False))


def test_one_arm_alone_says_that_its_profile_was_disturbed(world):
    detail(world.cost(arms=("baseline",), training=False), slowed={"baseline": 5.0})
    (section,) = world.gather()
    (sentence,) = difference_sentences(section)
    assert sentence.startswith("deit_mini, baseline, forward pass: the profile was disturbed (")
    assert breakdown_bars(section, colours(["deit_mini"]), "") is None


def test_a_disturbed_profile_is_marked_in_the_terminal_too(world):
    stored = detail(world.cost(), slowed={"swat": 2.0})
    (title, *_), *_ = [one.title.splitlines() for one in profile_tables([stored]) if "Where" in one.title]
    assert title.startswith("Where the time of a forward pass goes: the profile was disturbed (")
    (told,) = profile_json([stored])["profiles"]
    assert {row["disturbed"] for row in told["profiled"]} == {True}
    forward = told["profiled"][0]
    assert forward["profiled_per_timed"] == pytest.approx(forward["profiled_s"] / forward["timed_s"])
    assert forward["timed_s"] == stored.record.cost.arms[0].inference_s.p50


def test_where_the_time_goes_is_summed_by_part_and_operator(pair, single):
    table = found(pair, "Where the time of a forward pass")
    told = {row[:2]: row[2:] for row in table.rows}
    assert told["channel mixing", "depthwise convolution"] == ("0", "7.60 ms", "+38.0 %")
    profiled_s = [0.020 * sum(shares.values()) for shares in (SHARES, SHARES | CHANGED)]
    timed_s = [arm.inference_s.p50 for arm in pair.record.cost.arms]
    whole, more = (100 * (own / reference - 1) for reference, own in (profiled_s, timed_s))
    assert told["whole step", ""][-1] == f"+{whole:.1f} % (timed: +{more:.1f} %)"
    assert told["timed step", ""] == (*(f"{1e3 * seconds:.1f} ms" for seconds in timed_s), "")
    factors = [one / other for one, other in zip(profiled_s, timed_s, strict=True)]
    assert [float(cell) for cell in told["profiled / timed", ""][:2]] == pytest.approx(factors, abs=6e-3)
    alone = found(single, "Where the time of a forward pass")
    assert alone.rows[0] == ("token mixing", "matrix product", "10.0 ms", "50.0 %")


def test_the_profiler_is_told_of_once(pair):
    titles = [table.title for table in profile_tables([pair]) if "Where the time" in table.title]
    assert ["torch.profiler" in title for title in titles] == [True, False]


def test_few_rows_are_shown_and_the_others_summed(single):
    spent = [
        Spent(
            arm="baseline",
            protocol="inference",
            path="",
            part="other",
            operator=f"operator {number}",
            phase="forward",
            calls=1,
            self_s=1e-3 * (20 - number),
        )
        for number in range(20)
    ]
    sha = write_rows(single.folder, "breakdown.jsonl", spent)
    files = {**single.record.files, "breakdown.jsonl": sha}
    stored = Stored(record=single.record.model_copy(update={"files": files}), folder=single.folder)
    *shown, rest, whole, _, _ = found(stored, "Where the time").rows
    assert [row[1] for row in shown] == [f"operator {number}" for number in range(SHOWN)]
    assert rest[2] == f"{sum(range(1, 20 - SHOWN + 1)):.1f} ms"
    assert whole[2] == f"{sum(range(1, 21))} ms"


def test_more_than_two_arms_have_no_column_of_ratios(world):
    stored = detail(world.cost(arms=("baseline", "tokenization", "swat")))
    assert found(stored, "deit_mini").columns == ("", "baseline", "tokenization", "swat")
    assert {row[2] for row in found(stored, "Ratio of time").rows} == {"tokenization", "swat"}


def test_more_than_two_arms_have_shares_of_their_own_steps(world):
    table = found(
        detail(world.cost(arms=("baseline", "tokenization", "swat"))), "Where the time of a forward"
    )
    assert table.columns[2:] == ("baseline", "tokenization", "swat")
    told = {row[:2]: row[2:] for row in table.rows}
    own = f"{100 * 0.38 / sum((SHARES | CHANGED).values()):.1f} %"
    assert told["channel mixing", "depthwise convolution"] == ("0.0 %", own, own)
    assert told["whole step", ""][0] == "20.0 ms"


def test_four_arms_fit_into_the_terminal(world, monkeypatch, capsys):
    monkeypatch.setattr("swatbench.console.PIPE_WIDTH", WIDTH)
    arms = ("baseline", "tokenization", "token_mixing", "channel_mixing")
    stored = detail(world.cost(arms=arms, full=True, sweep=(1024,)))
    for table in profile_tables([stored]):
        print_table(table.rows, table.columns)
        told = capsys.readouterr().out
        cells = {cell for row in (table.columns, *table.rows) for cell in row}
        # What does not fit is folded; that may befall an operator's name, but no number.
        folded = {cell for cell in cells if cell not in told}
        assert folded <= {"depthwise convolution"}
        assert max(map(len, (*table.title.splitlines(), *told.splitlines()))) <= WIDTH
    assert "fit into 1.00 GiB" in found(stored, "Memory").title
