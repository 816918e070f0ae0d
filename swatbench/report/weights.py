"""Which weights an accuracy is of, in words: those of the last step, or their moving average (EMA)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from swatbench.report import words
from swatbench.report.comparison import PairRuns
from swatbench.report.metric import shared_metric

KINDS: Mapping[str, str] = MappingProxyType({"raw": "raw", "ema": "EMA"})
"""Kind of weights → its name in a table."""

_LONG = {"raw": "the weights themselves (raw)", "ema": "the moving average of the weights (EMA)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Which weights the accuracies of a figure are of.

    Attributes:
        short: What the axis of accuracy says after its name, or an empty text.
        told: A sentence, or an empty text.
    """

    short: str
    told: str


def weights_of(pairs: Sequence[PairRuns]) -> Weights:
    """Which weights the accuracies of these pairs are of, for a figure."""
    return Weights(short=" (EMA)" if kinds_of(pairs) == {"ema"} else "", told=told(pairs))


def kinds_of(pairs: Iterable[PairRuns]) -> frozenset[str]:
    """The kinds of weights that the accuracies of these pairs are of."""
    return frozenset(run.result.weights for runs in pairs for run in runs.trained)


def told(pairs: Iterable[PairRuns]) -> str:
    """Say which weights the accuracies are of, or the values of mIoU; nothing where nothing was trained."""
    pairs = [*pairs]
    scores = shared_metric(pairs).plural
    kinds: dict[str, dict[str, None]] = {}
    for runs in pairs:
        for kind in sorted(kinds_of([runs]), reverse=True):
            kinds.setdefault(kind, {})[runs.pair] = None
    if not kinds:
        return ""
    if len(kinds) == 1:
        return f"{scores} are those of {_LONG[next(iter(kinds))]}."
    each = [f"of {_LONG[kind]} in {words.listed([*names])}" for kind, names in kinds.items()]
    return f"{scores} are those {words.listed(each)}."
