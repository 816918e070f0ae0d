import pytest

from swatbench.spec.schema import suite_schema
from swatbench.spec.words import describe, keys_at, parents_of, schema_at


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (("recipe", "epochs"), "a whole number from 1 to 10000"),
        (("recipe", "learning_rate"), "a number above 0"),
        (("recipe", "weight_decay"), "a number at least 0"),
        (("recipe", "label_smoothing"), "a number at least 0 and below 1"),
        (("recipe", "clip_grad_norm"), "a number above 0 or null"),
        (("recipe", "betas"), "a list of 2: a number from 0 to 1, a number from 0 to 1"),
        (("recipe", "betas", 1), "a number from 0 to 1"),
        (("recipe", "schedule"), "cosine, tanh, poly, step, multistep, wsd, rsqrt or constant"),
        (("recipe_for", "swin", "weight_decay"), "a number at least 0 or null"),
        (("execution", "fused_attention"), "true, false or auto"),
        (("data", "root"), "text or null"),
        (("seeds",), "a list of at least one of: a whole number at least 0 and below 2147483648"),
        (("cost", "training"), "true or false"),
        (("execution", "checkpoints"), "the keys every_s, keep_every_epochs, keep_best"),
    ],
)
def test_what_is_allowed_is_said_in_words(key: tuple[str | int, ...], words: str) -> None:
    schema = suite_schema()
    assert describe(schema, schema_at(schema, key)) == words


def test_a_key_that_no_schema_knows_has_none() -> None:
    schema = suite_schema()
    assert schema_at(schema, ("recipe", "epoch")) is None
    assert schema_at(schema, ("name", "x")) is None
    assert schema_at(schema, ("name", 0)) is None
    assert keys_at(schema, ("nothing",)) == []


def test_a_key_is_found_under_its_parents() -> None:
    schema = suite_schema()
    assert parents_of(schema, "epochs") == ["recipe"]
    assert parents_of(schema, "batch_size") == ["recipe", "cost"]
    assert parents_of(schema, "nothing") == []
