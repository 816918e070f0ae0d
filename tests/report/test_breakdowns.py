import csv
import re
from xml.etree import ElementTree as ET

import pytest

from swatbench.report.breakdowns import (
    PROFILER_NOTE,
    breakdown_bars,
    difference_sentences,
)
from swatbench.report.canvas import colours
from swatbench.report.export import csv_text
from swatbench.report.spent import (
    EVERYTHING_ELSE,
    TIMED_STEP,
    WHOLE_STEP,
    aligned,
    largest,
    seconds_by_part,
    told,
)
from swatbench.store.cost import Spent
from tests.report.measured import CHANGED, SHARES, STEPS_S, breakdown_of, detail, timed_s


def spent(part, operator, self_s, *, phase="forward", arm="baseline", path="blocks.*"):
    return Spent(
        arm=arm,
        protocol="training",
        path=path,
        part=part,
        operator=operator,
        phase=phase,
        calls=1,
        self_s=self_s,
    )


def rows(world, protocol="inference"):
    return [row for row in breakdown_of(world).frame.to_dict(orient="records") if row["protocol"] == protocol]


def timed_more(world, name):
    return 100 * (timed_s(world, "swat", name) / timed_s(world, "baseline", name) - 1)


@pytest.fixture
def profiled(world):
    detail(world.cost())
    return world


def test_operators_are_laid_side_by_side_with_phases_summed():
    reference = [spent("head", "matrix product", 2.0), spent("head", "matrix product", 6.0, phase="backward")]
    own = [spent("head", "matrix product", 9.0), spent("head", "copy", 1.5, phase="backward")]
    copy, product = aligned(reference, own)
    assert (product.reference_s, product.own_s, product.phase) == (2.0 + 6.0, 9.0, None)
    assert (copy.reference_s, copy.own_s) == (0.0, 1.5)
    assert copy.difference_percent == pytest.approx(100 * 1.5 / (2.0 + 6.0))
    assert abs(copy.difference_s) > abs(product.difference_s)


def test_phases_and_places_can_be_kept_apart():
    reference = [spent("head", "copy", 2.0), spent("head", "copy", 6.0, phase="backward")]
    found = {row.phase: row.difference_s for row in aligned(reference, reference[:1], finer=True)}
    assert found == {"forward": 0.0, "backward": -6.0}
    own = [spent("head", "copy", 2.0, path="head"), reference[1]]
    places = {(row.path, row.difference_s) for row in aligned(reference, own, finer=True)}
    assert places == {("head", 2.0), ("blocks.*", -2.0), ("blocks.*", 0.0)}
    assert {row.path for row in aligned(reference, own)} == {None}


def test_small_differences_are_summed_up_and_nothing_is_lost():
    reference = [spent("head", str(number), 1.0) for number in range(100)]
    own = [spent("head", str(number), 1.0 + (0.5 if number < 3 else 0.25)) for number in range(100)]
    *large, rest = told(aligned(reference, own))
    assert [row.difference_percent for row in large] == pytest.approx([0.5] * 3)
    assert rest.part == EVERYTHING_ELSE
    assert rest.difference_s == pytest.approx(97 * 0.25)
    assert sum(row.own_s for row in (*large, rest)) == pytest.approx(3 * 1.5 + 97 * 1.25)


def test_a_step_that_took_no_time_cannot_be_compared_with():
    with pytest.raises(ValueError, match="took no time"):
        aligned([spent("head", "copy", 0.0)], [spent("head", "copy", 1.0)])


def test_parts_come_in_the_order_of_a_model_and_unknown_ones_last():
    found = [
        spent("compiled region", "copy", 1.0),
        spent("head", "copy", 2.0),
        spent("tokenization", "copy", 3.0),
    ]
    assert seconds_by_part([*found, found[1]]) == {"tokenization": 3.0, "head": 4.0, "compiled region": 1.0}
    assert list(seconds_by_part(found)) == ["tokenization", "head", "compiled region"]


def test_rows_add_up_to_the_whole_step(profiled):
    for protocol in ("inference", "training"):
        step_s = sum(seconds for (name, _), seconds in STEPS_S.items() if name == protocol)
        *parts, whole, _ = rows(profiled, protocol)
        assert whole["part"] == WHOLE_STEP
        assert whole["reference_s"] == pytest.approx(step_s * sum(SHARES.values()))
        assert whole["own_s"] == pytest.approx(step_s * sum((SHARES | CHANGED).values()))
        for name in ("reference_s", "own_s", "difference_s", "difference_percent"):
            assert sum(row[name] for row in parts) == pytest.approx(whole[name])


def test_large_differences_are_told_by_part_and_operator(profiled):
    told_rows = {(row["part"], row["operator"]): row["difference_percent"] for row in rows(profiled)}
    assert list(told_rows)[:3] == [
        ("channel mixing", "depthwise convolution"),
        ("channel mixing", "GELU"),
        ("token mixing", "matrix product"),
    ]
    assert told_rows["channel mixing", "GELU"] == pytest.approx(100 * (0.19 - 0.10))
    assert ("norms and skips", "layer norm") not in told_rows
    assert told_rows[EVERYTHING_ELSE, ""] == pytest.approx(100 * (0.043 - 0.040))


def test_the_file_has_every_operator_with_phases_apart(profiled):
    lines = csv_text(breakdown_of(profiled)).splitlines()
    assert len(lines) == 1 + len(STEPS_S) * len(SHARES | CHANGED)
    assert any("layer norm,blocks.*.norm1,optimizer" in line for line in lines)
    assert not any(EVERYTHING_ELSE in line or WHOLE_STEP in line for line in lines)


def test_a_row_shows_signed_times_and_links_to_its_record(profiled):
    first = breakdown_of(profiled).views()[0]
    assert [view.text for view in first][-4:] == ["0", "7.60 ms", "+7.60 ms", "+38.0"]
    assert first[-3].link == "record.json"
    assert breakdown_of(profiled).views()[2][-2].text == "−800 µs"


def test_a_sentence_names_what_makes_a_step_longer_or_shorter(profiled):
    (section,) = profiled.gather()
    inference, training = difference_sentences(section)
    assert inference == (
        "deit_mini, swat, forward pass: depthwise convolution in channel mixing +38 %, GELU in channel "
        "mixing +9.0 %, matrix product in token mixing −4.0 %; all others +0.3 %, in all +43 % "
        f"(timed: {timed_more(profiled, 'inference_s'):+.0f} %) of the baseline's step"
    )
    assert training.startswith("deit_mini, swat, training step: ")
    assert f"(timed: {timed_more(profiled, 'training_s'):+.0f} %)" in training
    assert "one process per arm" in PROFILER_NOTE
    assert "torch.profiler" not in inference + training


def test_the_optimizers_step_is_no_operator_elsewhere():
    reference = [spent("other", "optimizer", 1.0), spent("other", "copy", 9.0)]
    own = [spent("other", "optimizer", 2.0), spent("other", "copy", 13.0)]
    assert largest(aligned(reference, own), None) == (
        "copy elsewhere +40 %, the optimizer's step +10 %; in all +50 %"
    )


def test_the_whole_step_stands_beside_the_timed_one(profiled):
    *_, whole, timed = breakdown_of(profiled).views()
    assert [view.text for view in whole[-4:]] == [
        f"64.0 ms ({0.064 / timed_s(profiled, 'baseline'):.1f} × the timed)",
        f"{64 * 1.433:.1f} ms ({0.064 * 1.433 / timed_s(profiled, 'swat'):.1f} × the timed)",
        f"+{64 * 0.433:.1f} ms",
        f"+43.3 (timed: {timed_more(profiled, 'training_s'):+.1f})",
    ]
    assert timed[4].text == TIMED_STEP
    assert timed[6].text == f"{1e3 * timed_s(profiled, 'baseline'):.1f} ms"
    row, *_ = csv.DictReader(csv_text(breakdown_of(profiled)).splitlines())
    assert float(row["own_timed_s"]) == pytest.approx(timed_s(profiled, "swat", "inference_s"))
    profiled_s = 0.020 * sum((SHARES | CHANGED).values())
    assert float(row["own_profiled_per_timed"]) == pytest.approx(profiled_s / float(row["own_timed_s"]))


def test_a_sentence_about_equal_arms_says_that_nothing_differs(profiled, monkeypatch):
    monkeypatch.setattr("tests.report.measured.CHANGED", {})
    detail(profiled.cost(slowdown=1.0))
    (section,) = profiled.gather()
    assert "no operator differs by 0.5 % or more, in all 0.0 %" in difference_sentences(section)[0]


def test_bars_show_both_arms_in_each_protocol_with_every_part(profiled):
    (section,) = profiled.gather()
    drawing = breakdown_bars(section, colours(["deit_mini"]), "-some")
    assert drawing.name == "breakdown-some"
    assert drawing.png.startswith(b"\x89PNG")
    root = ET.fromstring(drawing.svg)
    assert root.tag.endswith("svg")
    swat = re.search(r"deit_mini swat forward pass: ([^;]*)", drawing.alt)[1]
    assert swat == "tokenization 6 %, token mixing 46 %, channel mixing 87 %, norms and skips 4 %"
    assert drawing.alt.count("baseline") == 2
    assert breakdown_bars(section, colours(["deit_mini"]), "-some") == drawing


def test_one_arm_alone_has_its_parts_and_no_differences(world):
    detail(world.cost(arms=("baseline",)))
    (section,) = world.gather()
    told_rows = rows(world)
    assert [row["part"] for row in told_rows[-2:]] == [WHOLE_STEP, TIMED_STEP]
    shares = {row["part"]: row["share_percent"] for row in told_rows}
    assert shares["channel mixing"] == pytest.approx(100 * (0.30 + 0.10))
    assert told_rows[-1]["own_s"] == pytest.approx(timed_s(world, "baseline", "inference_s"))
    assert [column.title for column in breakdown_of(world).columns][-3:] == [
        "Part",
        "Arm",
        "% of its own step",
    ]
    lines = csv_text(breakdown_of(world)).splitlines()
    assert len(lines) == 1 + len(STEPS_S) * len(SHARES)
    assert any("depthwise" in line or "blocks.*.mlp.act" in line for line in lines)
    assert difference_sentences(section) == ()
    assert "token mixing 50 %" in breakdown_bars(section, colours(["deit_mini"]), "").alt


def test_nothing_is_drawn_or_said_of_what_was_not_profiled(world):
    detail(world.cost(), spent=False)
    (section,) = world.gather()
    assert breakdown_bars(section, colours(["deit_mini"]), "") is None
    assert difference_sentences(section) == ()
    assert breakdown_of(world).frame.empty
