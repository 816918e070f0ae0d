"""How the models of a cell segment: what of it must agree, and in what words heads and tests are told."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from swatbench.report import words

HEADS: Mapping[str, str] = MappingProxyType({"upernet": "UPerNet", "upernet_on_taps": "UPerNet on four taps"})
"""Head → its name in words: the published head, and one on a pyramid made of taps, are not the same."""

_OF_THE_HEAD = ("head", "decoder_channels", "norm", "auxiliary_weight", "auxiliary_channels")
"""What of it makes a model; the rest is how the model is trained and tested."""

_OF_THE_REPORT = frozenset({"tests", "shown"})
"""What changes no score: further ways of testing, and how many masks are kept."""


def head_in_words(head: str | None) -> str:
    """The name of a head; of one that is not known, its own."""
    return words.NOTHING if head is None else HEADS.get(head, head)


def segmenting(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """How a cell's models segment, as far as it moves their headline score; empty where they classify.

    Args:
        cell: A record's cell.
    """
    asked = cell.get("segmentation")
    if not isinstance(asked, Mapping):
        return {}
    kept = {key: value for key, value in asked.items() if key not in _OF_THE_REPORT}
    return {**kept, "head": head_in_words(kept.get("head")), "inference": _unnamed(first_test(cell))}


def head_of(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """The head of a cell's models; empty where they classify."""
    asked = segmenting(cell)
    return {key: asked[key] for key in _OF_THE_HEAD if key in asked}


def first_test(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """The way of testing that a cell's score is of; empty where they classify, or where none is told."""
    asked = cell.get("segmentation")
    tests = asked.get("tests") if isinstance(asked, Mapping) else None
    first = tests[0] if isinstance(tests, list | tuple) and tests else {}
    return first if isinstance(first, Mapping) else {}


def inference_in_words(test: Mapping[str, Any]) -> str:
    """A way of testing: whole images or windows, the scales, and whether mirrored ones are averaged in.

    Example:
        >>> inference_in_words({"name": "ms", "mode": "sliding", "stride": 341, "scales": [0.5, 1.0]})
        'sliding, stride 341, scales 0.5 and 1'
        >>> inference_in_words({"name": "ss", "mode": "whole", "stride": None, "scales": [1.0], "flip": True})
        'whole, scale 1, flip'
    """
    if not test:
        return words.NOTHING
    stride, scales = test.get("stride"), [f"{scale:g}" for scale in test.get("scales", ())]
    said = [str(test.get("mode"))]
    said += [f"stride {stride}"] if stride is not None else []
    said += [f"scale{'s' if len(scales) > 1 else ''} {words.listed(scales)}"] if scales else []
    said += ["flip"] if test.get("flip") else []
    return ", ".join(said)


def heads_in_words(cells: Iterable[Mapping[str, Any]]) -> str:
    """A sentence on the heads of these cells; an empty text where they classify."""
    heads = dict.fromkeys(head["head"] for head in map(head_of, cells) if head)
    if not heads:
        return ""
    return f"{'Heads' if len(heads) > 1 else 'Head'}: {words.listed([*heads])}."


def _unnamed(test: Mapping[str, Any]) -> Mapping[str, Any]:
    # What a test is called changes nothing of it.
    return {key: value for key, value in test.items() if key != "name"}
