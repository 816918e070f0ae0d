import re
import time
from contextlib import suppress
from pathlib import Path

import pytest

from swatbench.errors import SuiteError
from swatbench.spec.load import load_suite, parse_suite


def complaints(text: str) -> list[str]:
    with pytest.raises(SuiteError) as caught:
        parse_suite(text, file="s.yaml")
    return str(caught.value).splitlines()


def test_a_suite_file_gives_its_values(tmp_path: Path, text: str) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(text)
    suite = load_suite(path)
    assert suite.pairs == ("deit_mini", "mixer_mini")
    assert suite.recipe.learning_rate == 0.002
    assert suite.recipe.betas == (0.9, 0.999)
    assert suite.arms == ("baseline", "swat")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1.e-3", 0.001),
        ("+.5e3", 500.0),
        (".5", 0.5),
        ("1", 1.0),
        ("1.5", 1.5),
        ("2e+1", 20.0),
        ("!!float 3", 3.0),
    ],
)
def test_numbers_are_those_of_yaml_1_2(text: str, written: str, value: float) -> None:
    suite = parse_suite(text.replace("2e-3", written), file="s.yaml")
    assert suite.recipe.learning_rate == value


@pytest.mark.parametrize(
    "word", ["yes", "no", "on", "off", "2024-05-06", "1:30", "0x10", "0o17", "1_000", "'true'"]
)
def test_other_words_stay_text(text: str, word: str) -> None:
    suite = parse_suite(text + f"description: {word}\n", file="s.yaml")
    assert suite.description == word.strip("'")


def test_a_leading_zero_is_no_octal(text: str) -> None:
    assert parse_suite(text.replace("epochs: 3", "epochs: 010"), file="s.yaml").recipe.epochs == 10


@pytest.mark.parametrize("word", ["1_000", "0x10", "1:30", "yes", "3.0", "1e2", "true", "null", "'3'"])
def test_none_of_these_is_a_whole_number(text: str, word: str) -> None:
    (line,) = complaints(text.replace("epochs: 3", f"epochs: {word}"))
    assert line.startswith("s.yaml:7:3: recipe.epochs: ")
    assert "Allowed: a whole number from 1 to 10000." in line


def test_a_round_float_is_told_how_to_be_written(text: str) -> None:
    (line,) = complaints(text.replace("epochs: 3", "epochs: 1e2"))
    assert "Write 100." in line


def test_only_true_and_false_are_booleans(text: str) -> None:
    execution = "execution: {{deterministic: {}}}\n"
    assert parse_suite(text + execution.format("false"), file="s.yaml").execution.deterministic is False
    (line,) = complaints(text + execution.format("no"))
    assert line == 's.yaml:10:13: execution.deterministic: "no" is not allowed. Allowed: true or false.'


def test_a_misspelt_key_is_named_with_its_line_its_neighbour_and_all_keys(text: str) -> None:
    lines = complaints(text.replace("learning_rate", "learing_rate"))
    assert len(lines) == 1, "the key that was meant is not reported as missing beside it"
    assert lines[0].startswith("s.yaml:9:3: recipe.learing_rate: unknown key. Did you mean learning_rate")
    assert "Allowed: epochs, cooldown_epochs, steps_per_epoch, batch_size, " in lines[0]


def test_a_key_at_the_wrong_level_is_told_where_it_belongs(text: str) -> None:
    (line,) = complaints(text + "weight_decay: 0.1\n")
    assert line.startswith("s.yaml:10:1: weight_decay: unknown key. It belongs under recipe. Allowed: name, ")


def test_an_unknown_value_of_a_choice_gets_its_nearest_match(text: str) -> None:
    (line,) = complaints(text.replace("cifar10_subset", "cifar_10"))
    assert line.startswith("s.yaml:5:3: data.source: unknown source 'cifar_10'. Did you mean cifar10 or")
    assert line.endswith("folder, masks, wds/<name>, hfds/<name>.")


def test_an_unknown_pair_and_arm_get_their_nearest_matches(text: str) -> None:
    pair, arm = complaints(text.replace("mixer_mini", "mixer_mni") + "arms: [baseline, swatt]\n")
    assert pair.startswith("s.yaml:2:20: pairs[1]: unknown pair 'mixer_mni'. Did you mean mixer_mini")
    assert arm.startswith("s.yaml:10:18: arms[1]: unknown arm 'swatt'. Did you mean swat?")


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ("class_token", "mixer_mini has no arm class_token: the family mixer lacks class_token."),
        ("merging", "deit_mini has no arm merging: the family deit lacks merging."),
    ],
)
def test_an_arm_that_a_pair_lacks_is_one_error_at_the_arms(text: str, arm: str, told: str) -> None:
    (line,) = complaints(text + f"arms: [baseline, {arm}, swat]\n")
    assert line.startswith(f"s.yaml:10:1: arms: {told} Its parts: tokenization, token_mixing, channel_mixing")
    assert "its arms: baseline, tokenization, " in line


def test_the_published_deit_may_stand_beside_its_control(text: str) -> None:
    alone = text.replace("[deit_mini, mixer_mini]", "[deit_mini]") + "arms: [baseline, class_token, swat]\n"
    assert parse_suite(alone, file="s.yaml").arms == ("baseline", "class_token", "swat")


def test_missing_keys_are_reported_at_their_parent(text: str) -> None:
    (line,) = complaints(text.replace("  epochs: 3\n", ""))
    assert line == "s.yaml:6:1: recipe.epochs: this key is missing. Allowed: a whole number from 1 to 10000."


def test_a_union_gives_one_line_not_one_for_each_member(text: str) -> None:
    (line,) = complaints(text + "execution:\n  fused_attention: maybe\n")
    assert line.startswith("s.yaml:11:3: execution.fused_attention: ")
    assert line.endswith("Allowed: true, false or auto.")


def test_all_problems_are_told_at_once_in_the_order_of_the_file(text: str) -> None:
    bad = text.replace("seeds: [0, 1]", "seeds: [0, 0, -1]").replace("epochs: 3", "epochs: 0\n  epochs: 3")
    bad = bad.replace("2e-3", ".nan") + "cost: [1]\nnew: 1\n"
    lines = complaints(bad)
    places = [tuple(map(int, re.match(r"s\.yaml:(\d+):(\d+): ", line).groups())) for line in lines]
    assert places == sorted(places)
    assert [line.split(": ")[1] for line in lines] == [
        "seeds[2]",
        "recipe.epochs",
        "recipe.learning_rate",
        "cost",
        "new",
    ]


def test_one_problem_keeps_its_parts_apart(text: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_suite(text.replace("epochs: 3", "epochs: 0"), file="s.yaml")
    assert caught.value.where == "s.yaml:7:3: recipe.epochs"
    assert caught.value.what == "0 is not allowed."
    assert caught.value.fix == "Allowed: a whole number from 1 to 10000."


def test_duplicate_keys_name_both_lines(text: str) -> None:
    (line,) = complaints(text + "name: other\n")
    assert line == "s.yaml:10:1: name: this key appears twice; the first is on line 1."


@pytest.mark.parametrize("number", [".nan", ".inf", "-.INF", "1e999", "!!float nan"])
def test_numbers_that_are_not_finite_are_refused(text: str, number: str) -> None:
    (line,) = complaints(text.replace("2e-3", number))
    assert line.startswith("s.yaml:9:18: recipe.learning_rate: ")
    assert "is not a finite number" in line


@pytest.mark.parametrize("digits", [20, 99, 101, 5000])
def test_numbers_that_are_too_large_are_refused(text: str, digits: int) -> None:
    (line,) = complaints(text.replace("2e-3", "9" * digits))
    assert "is too large a number" in line
    assert len(line) < 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("seeds: [0, 1]", "seeds: [3, 3]"), "seeds: 3 is listed 2 times."),
        (("[deit_mini, mixer_mini]", "[deit_mini, deit_mini]"), "pairs: deit_mini is listed 2 times."),
        (("[deit_mini, mixer_mini]", "[deit_ti]"), "pairs: deit_ti takes images of 224 × 224 pixels"),
        (
            ("cifar10_subset", "cifar10_subset\n  root: images"),
            "data.root: source 'cifar10_subset' is inside",
        ),
        (("[deit_mini, mixer_mini]", "[deit_mni]"), "2:9: pairs[0]: unknown pair 'deit_mni'."),
        (("epochs: 3", "epochs: 3\n  warmup_epochs: 3"), "recipe.warmup_epochs: 3 must be below"),
        (("[0, 1]", "[]"), "seeds: an empty list is not allowed."),
        (("name: small", "name: ../up"), 'name: "../up" is not allowed.'),
        (("name: small", "1: small"), "a key must be a word."),
        (("name: small", "!!python/name:os.system x: small"), "a key must be a word."),
        (("small", "!!python/object/apply:os.system [ls]"), "name: the tag !!python/object/apply:os.system"),
        (("small", "!own x"), "name: the tag !own is not supported"),
        (("small", "!!int x"), "name: x is not a whole number."),
        (("small", "!!bool x"), "name: x is neither true nor false."),
        (("small", "!!null x"), "name: x is not null."),
        (("small", '"a\\ud800"'), "name: character U+D800 is not allowed."),
        (("small", '"a\\0"'), "name: character U+0000 is not allowed."),
        (("small", "{a: 1}"), "name: a group of keys is not allowed."),
        (("small", "&a small"), "anchors (&) and aliases (*) are not supported"),
        (("small", "*a"), "anchors (&) and aliases (*) are not supported"),
        (("recipe:", "<<: {}\nrecipe:"), "<<: unknown key."),
    ],
)
def test_each_fault_has_its_words(text: str, change: tuple[str, str], words: str) -> None:
    assert words in "\n".join(complaints(text.replace(*change)))


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"# nothing\n",
        b"---\n---\n",
        b"- 1\n- 2\n",
        b"word",
        b"12",
        b"\x80\x81\xff\xfe\x00",
        b"\xff\xfen\x00a\x00",
        b"name: \x00\n",
        b"name: a\x07b\n",
        bytes(range(256)) * 10,
        b"name:\tx\n\ty: 1\n",
        b"\tname: x\n",
        b"[" * 900_000,
        b"{a: " * 200_000,
        b"- " * 400_000,
        b"[" * 500 + b"]" * 500,
        b"? " * 300_000,
        b"'" * 900_001,
        b"x" * 900_000,
        b"a: [" + b"1," * 450_000 + b"]",
        b"x: 1\n" * 200_000,
        b"".join(b"k%d: 1\n" % n for n in range(80_000)),
        b"a: &a [*a]\n",
        BOMB.encode(),
        b"a: " + b"b" * 2_000_000,
        b"%YAML 9.9\n---\na: 1\n",
        b"%TAG ! tag:x,2000:\n---\na: !b 1\n",
        b"a: 1\n--- b\n",
        b'a: "unclosed\n',
        b"a: |\n  x\n y",
        b"a: @x\n",
        b"a: `x`\n",
        b"? {a: 1}\n: 2\n",
        b"? [a]\n: 2\n",
        b"!!set {a, b}\n",
        b"!!omap [a: 1]\n",
        b"!!binary aGVsbG8=\n",
        b"!!timestamp 2001-01-01\n",
        b"a: !<tag:yaml.org,2002:python/none> x",
        b"{" + b"\xc3\xa9: \xc3\xa9, " * 100 + b"}",
        b'"\\U0010ffff": "\\U00110000"',
        b'a: "\\Uffffffff"',
        b"%YAML " + b"9" * 5000 + b".1\n---\na: 1\n",
        b"a: !%ff%fe x",
    ],
    ids=range(45),
)
def test_junk_is_a_suite_error_and_soon(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "junk.yaml"
    path.write_bytes(junk)
    begin = time.process_time()
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert time.process_time() - begin < 2.0
    assert "junk.yaml" in str(caught.value)
    assert len(str(caught.value)) < 30_000


def test_every_byte_of_a_suite_may_be_broken(text: str) -> None:
    for position in range(len(text)):
        for byte in ("\x00", "{", "\t", ":", '"'):
            mutant = text[:position] + byte + text[position + 1 :]
            with suppress(SuiteError):
                parse_suite(mutant, file="s.yaml")


def test_a_syntax_error_names_its_line(text: str) -> None:
    (line,) = complaints(text + "cost: {training: true\nexecution: 1\n")
    assert re.match(r"s\.yaml:11:\d+: not readable as YAML: ", line)
    (line,) = complaints(text + "description: a\x07b\n")
    assert line == "s.yaml:10:15: character U+0007 is not allowed."


def test_text_that_is_not_utf_8_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: x\ndescription: caf\xe9\n")
    with pytest.raises(SuiteError, match=r"latin\.yaml:2: the file is not UTF-8 text"):
        load_suite(path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dos.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load_suite(path).name == "small"


def test_a_missing_file_and_a_folder_name_their_neighbours(tmp_path: Path, text: str) -> None:
    (tmp_path / "quickstart.yaml").write_text(text)
    with pytest.raises(SuiteError, match=r"no such file.*Did you mean .*quickstart\.yaml\?"):
        load_suite(tmp_path / "quickstrat.yaml")
    with pytest.raises(SuiteError, match=r"folder.*quickstart\.yaml"):
        load_suite(tmp_path)
    with pytest.raises(SuiteError, match="no such file"):
        load_suite(tmp_path / "none" / "a.yaml")
    with pytest.raises(SuiteError, match="cannot be read"):
        load_suite(tmp_path / "quickstart.yaml" / "b.yaml")
    with pytest.raises(SuiteError, match="cannot be read"):
        load_suite(Path("a\0b"))


def test_the_shipped_suites_are_suites(repository: Path) -> None:
    for path in sorted((repository / "suites").glob("*.yaml")):
        assert load_suite(path).name == path.stem


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(SuiteError, match="it is a pipe or a device"):
        load_suite(Path("/dev/zero"))
