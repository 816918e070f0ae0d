"""Whether two runs or two tests may be compared: everything but the arm and its parts must agree."""

from collections.abc import Iterator, Mapping
from typing import Any

from swatbench.report.segmenting import segmenting
from swatbench.report.selection import BACKBONE, Tested, Trained
from swatbench.spec.dotted import flat
from swatbench.store.files import Stored

_OF_THE_ARM = frozenset({"arm", "parts", "weights"})
"""What of a cell may differ between the arms of a pair; `weights` says which trained arm is tested."""

_NAMED = 3
"""Parameters that are named when initial values differ; the rest are counted."""

_DIGEST = 64
"""Characters of a SHA-256, of which the first ten are shown."""


def disagreements(reference: Trained, arm: Trained) -> tuple[str, ...]:
    """Say in what two runs differ that ought to be shared; nothing when they may be compared.

    Parameters that both runs have by the same name and shape must start from the same values, and there must
    be some.
    """
    return (*_asked(reference.stored, arm.stored), *_seen(reference, arm))


def unlike_tests(reference: Tested, arm: Tested) -> tuple[str, ...]:
    """Say in what two tests of trained models differ that ought to be shared; nothing of their training."""
    return tuple(_asked(reference.stored, arm.stored))


def shared_facts(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """A cell's facts as they are compared: of segmentation, what moves the score.

    Arms of a pair begin with backbones of their own, so that of these it counts whether there are any.
    """
    facts = dict(cell)
    if facts.get("segmentation") is not None:
        facts["segmentation"] = segmenting(cell)
        facts[BACKBONE] = "from weights" if facts.get(BACKBONE) else "fresh"
    return facts


def _asked(reference: Stored, arm: Stored) -> Iterator[str]:
    ours, theirs = (shared_facts(stored.record.cell) for stored in (reference, arm))
    # Whatever a cell holds must agree, so a field that is added later is compared without a change here.
    unlike = (topic for topic in ours.keys() | theirs.keys() if ours.get(topic) != theirs.get(topic))
    if (ours.get("segmentation") is None) != (theirs.get("segmentation") is None):
        yield "one segments and the other classifies"
        return
    for topic in sorted(set(unlike) - _OF_THE_ARM):
        changed = list(changes(flat(ours.get(topic)), flat(theirs.get(topic))))
        if changed:
            yield f"{topic} differs ({', '.join(changed)})"


def _seen(reference: Trained, arm: Trained) -> Iterator[str]:
    ours, theirs = reference.result, arm.result
    if ours.recipe_sha256 != theirs.recipe_sha256:
        yield "digest of the recipe differs"
    if ours.order_sha256 != theirs.order_sha256:
        yield "order of the images differs"
    if ours.augmentation_sha256 != theirs.augmentation_sha256:
        yield "augmentation differs"
    if ours.weights != theirs.weights:
        yield f"weights that were tested differ ({ours.weights} and {theirs.weights})"
    if ours.test_images != theirs.test_images:
        yield f"number of test images differs ({ours.test_images} and {theirs.test_images})"
    own, other = _initial_values(reference), _initial_values(arm)
    if not own.keys() & other.keys():
        yield "no parameter is shared by name and shape"
    unequal = _unequal_initial_values(own, other)
    if unequal:
        more = f" and {len(unequal) - _NAMED} more" if len(unequal) > _NAMED else ""
        yield f"initial values of shared parameters differ ({', '.join(unequal[:_NAMED])}{more})"


def _initial_values(run: Trained) -> Mapping[str, str]:
    """Parameter → digest of its initial value, without those that come from a classifier's training."""
    values = run.result.shared_init_sha256
    if not run.stored.record.cell.get(BACKBONE):
        return values
    return {name: digest for name, digest in values.items() if not name.startswith(f"{BACKBONE}.")}


def _unequal_initial_values(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return [name for name, digest in ours.items() if name in theirs and digest != theirs[name]]


def changes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """Each fact that is not the same on both sides, with both values."""
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            name = f"{key}: " if key else ""
            yield f"{name}{_short(ours.get(key))} and {_short(theirs.get(key))}"


def _short(value: Any) -> str:
    return f"{value[:10]}…" if isinstance(value, str) and len(value) == _DIGEST else str(value)
