"""Several tests in one report: p-values corrected so that the whole family rarely errs."""

import gc
from collections.abc import Sequence

import numpy as np
from statsmodels.stats.multitest import multipletests


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Correct the p-values of a family by Holm's method.

    Where every corrected p below 0.05 is believed, the chance of one or more errors in the family is at most
    5 %, however the tests depend on one another.

    Args:
        p_values: One for each test of the family, inside [0, 1]; None where there was no test. It stays None
            and does not count.

    Raises:
        ValueError: A p lies outside [0, 1], or is not a number.

    Example:
        >>> holm([0.01, None, 0.04])
        (0.02, None, 0.04)
    """
    given = [p for p in p_values if p is not None]
    if not all(0 <= p <= 1 for p in given):
        raise ValueError(f"a p lies between 0 and 1, unlike one of {given}")
    corrected = iter(_corrected(given) if given else ())
    return tuple(None if p is None else next(corrected) for p in p_values)


def _corrected(given: Sequence[float]) -> list[float]:
    # statsmodels looks for garbage first, among all that the process holds; a report holds many records.
    gc.freeze()
    try:
        return np.asarray(multipletests(given, method="holm")[1], dtype=float).tolist()
    finally:
        gc.unfreeze()
