import pytest

from swatbench.stats.multiplicity import holm


def test_by_hand():
    # By rising p: 4 × 0.01, 3 × 0.012 raised to the one before, 2 × 0.03, then 1 × 0.2.
    assert holm([0.03, 0.01, 0.2, 0.012]) == pytest.approx((0.06, 0.04, 0.2, 0.04))


def test_absent_tests_stay_absent_and_do_not_count():
    corrected = holm([None, 0.02, None, 0.03])
    assert corrected[::2] == (None, None)
    assert corrected[1::2] == pytest.approx((0.04, 0.04))
    assert holm([None]) == (None,)
    assert holm([]) == ()
    assert holm([0.04]) == (0.04,)


def test_no_p_exceeds_one():
    assert holm([0.9, 0.8, 1.0]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_is_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p])
