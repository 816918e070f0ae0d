"""A pair's runs → a figure of predicted masks: test images, their masks, and what each arm made of them.

h and w, rows and columns of a picture.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from swatbench.errors import SwatbenchError
from swatbench.report import words
from swatbench.report.canvas import Drawing, draw, plain, short
from swatbench.report.comparison import PairRuns
from swatbench.report.mask_colours import (
    MOST_NAMED,
    STRIPES,
    Picture,
    colour_of,
    coloured,
    smaller_mask,
    smaller_picture,
)
from swatbench.report.segmenting import heads_in_words
from swatbench.report.selection import Trained
from swatbench.spec.segmentation import IGNORED
from swatbench.store.files import SAFE

Mask = NDArray[np.uint8]

MOST_PIXELS = 256
"""Most rows or columns of a picture in the figure; the file beside the record has all."""
MOST_ROWS = 16
"""Most test images in one figure."""

_IMAGE = re.compile(r"image_(\d{1,9})\Z", re.ASCII)
_WIDTH_IN = 4.9
_GAP = 0.04
"""Space between pictures, as a share of a picture's width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """One test image and what the arms made of it.

    Attributes:
        position: Its place in the test set.
        image: The image, of shape (h, w, 3).
        label: Its mask, of shape (h, w).
        predicted: Arm → its predicted mask.
    """

    position: int
    image: Picture
    label: Mask
    predicted: Mapping[str, Mask]


@dataclass(slots=True, kw_only=True)
class _Left:
    """Arms whose masks are not shown, and why."""

    whys: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """What is said of them, or an empty text."""
        return " ".join(f"Without {arm}: {why}." for arm, why in self.whys.items())


def mask_pictures(runs: PairRuns, suffix: str) -> Drawing | None:
    """Draw the predicted masks of a pair's arms, each by its first seed, or nothing where none were kept.

    Args:
        runs: What is reported of the pair.
        suffix: End of the file's name.
    """
    left = _Left()
    firsts = {arm: of_arm[min(of_arm)] for arm in runs.arms if (of_arm := runs.runs(arm))}
    kept = {arm: arrays for arm, run in firsts.items() if (arrays := _read(arm, run, left))}
    arms, shown = _agreed(kept, left)
    if not shown:
        return None
    classes = firsts[arms[0]].result.classes
    columns = ("image", "mask", *arms)
    sides = [side.label.shape for side in shown]
    heights = [h / w for h, w in sides]
    width_in = _WIDTH_IN / len(columns)

    def paint(axes: Axes) -> None:
        _paint(axes, shown, arms, columns, heights)

    seeds = {firsts[arm].cell.seed for arm in arms}
    return draw(
        f"masks_{_safe(runs.pair)}{suffix}",
        paint,
        legend=_legend(shown, classes),
        title=f"Predicted masks, {runs.pair}.",
        caption=" ".join(filter(None, _caption(shown, seeds, classes, firsts, left))),
        alt=_alt(runs.pair, shown, [firsts[arm] for arm in arms]),
        height_in=0.4 + width_in * (sum(heights) + _GAP * len(heights)),
    )


def _read(arm: str, run: Trained, left: _Left) -> Mapping[str, np.ndarray]:
    try:
        return run.stored.masks()
    except (SwatbenchError, OSError, ValueError) as error:
        left.whys[arm] = f"its masks cannot be read ({error})"
        return {}


def _agreed(
    kept: Mapping[str, Mapping[str, np.ndarray]], left: _Left
) -> tuple[tuple[str, ...], tuple[_Shown, ...]]:
    """The arms that have the same images and masks as the first, and these images."""
    found: dict[str, dict[int, tuple[Picture, Mask, Mask]]] = {}
    for arm, arrays in kept.items():
        own = _whole(arrays)
        first = next(iter(found.values()), own)
        if not own:
            left.whys[arm] = "its file of masks holds none that fit their images"
        elif not _same_images(first, own):
            left.whys[arm] = "its masks are of other images"
        else:
            found[arm] = own
    if not found:
        return (), ()
    first = next(iter(found.values()))
    shown = tuple(
        _Shown(
            position=position,
            image=smaller_picture(image, MOST_PIXELS),
            label=smaller_mask(label, MOST_PIXELS),
            predicted={arm: smaller_mask(own[position][2], MOST_PIXELS) for arm, own in found.items()},
        )
        for position, (image, label, _) in sorted(first.items())[:MOST_ROWS]
    )
    return tuple(found), shown


def _whole(arrays: Mapping[str, np.ndarray]) -> dict[int, tuple[Picture, Mask, Mask]]:
    """Position → image, mask and predicted mask, where the three are there and fit together."""
    found: dict[int, tuple[Picture, Mask, Mask]] = {}
    for name in arrays:
        match = _IMAGE.match(name)
        if match is None:
            continue
        image, label, predicted = (
            arrays.get(f"{kind}_{match[1]}") for kind in ("image", "label", "predicted")
        )
        if image is None or label is None or predicted is None:
            continue
        whole = {array.dtype for array in (image, label, predicted)} == {np.dtype(np.uint8)}
        fitting = image.shape == (*label.shape, 3) and label.shape == predicted.shape and label.ndim == 2
        if whole and fitting and label.size:
            found[int(match[1])] = image, label, predicted
    return found


def _same_images(
    ours: Mapping[int, tuple[Picture, Mask, Mask]], theirs: Mapping[int, tuple[Picture, Mask, Mask]]
) -> bool:
    return ours.keys() == theirs.keys() and all(
        np.array_equal(one, other)
        for position in ours
        for one, other in zip(ours[position][:2], theirs[position][:2], strict=True)
    )


def _paint(
    axes: Axes,
    shown: Sequence[_Shown],
    arms: Sequence[str],
    columns: Sequence[str],
    heights: Sequence[float],
) -> None:
    top = 0.0
    for item, height in zip(shown, heights, strict=True):
        masks = (item.label, *(item.predicted[arm] for arm in arms))
        for place, picture in enumerate((item.image, *map(coloured, masks))):
            left = place * (1 + _GAP)
            # "none" is nearest in a PNG, and in other files keeps the pixels as they are.
            axes.imshow(picture, extent=(left, left + 1, top - height, top), interpolation="none")
        top -= height + _GAP
    for place, name in enumerate(columns):
        axes.text(place * (1 + _GAP) + 0.5, _GAP, plain(short(name)), ha="center", va="bottom", fontsize=7)
    axes.set_xlim(0, len(columns) * (1 + _GAP))
    axes.set_ylim(top, 6 * _GAP)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _legend(shown: Sequence[_Shown], classes: Sequence[str]) -> list[Line2D]:
    """A patch of colour for each class that is seen, where there are few; then what is ignored."""
    seen = _seen(shown)
    named = [label for label in seen if label < len(classes)] if len(classes) <= MOST_NAMED else []
    entries = [_patch(colour_of(label), classes[label]) for label in named]
    return [*entries, *([_patch(STRIPES[0], "ignored")] if IGNORED in seen else [])]


def _patch(colour: str, name: str) -> Line2D:
    # A label that begins with a line has no entry.
    label = f" {plain(name)}" if name.startswith("_") else plain(name)
    return Line2D([], [], color=colour, marker="s", markersize=6, linestyle="none", label=label)


def _seen(shown: Sequence[_Shown]) -> list[int]:
    every = [mask for item in shown for mask in (item.label, *item.predicted.values())]
    return sorted({int(label) for mask in every for label in np.unique(mask)})


def _caption(
    shown: Sequence[_Shown],
    seeds: set[int],
    classes: Sequence[str],
    firsts: Mapping[str, Trained],
    left: _Left,
) -> tuple[str, ...]:
    of = f"seed {seeds.pop()}" if len(seeds) == 1 else "its first seed"
    return (
        f"{words.count(len(shown), 'test image')}, the true mask, and what each arm predicts, by {of}.",
        "A few images show what masks look like, and decide nothing.",
        "Grey stripes are pixels that count for nothing." if IGNORED in _seen(shown) else "",
        f"Of {len(classes)} classes some colours are near one another, so there is no legend."
        if len(classes) > MOST_NAMED
        else "",
        heads_in_words(run.stored.record.cell for run in firsts.values()),
        left.told,
    )


def _alt(pair: str, shown: Sequence[_Shown], runs: Sequence[Trained]) -> str:
    positions = words.listed([str(item.position) for item in shown])
    scores = "; ".join(
        f"{run.cell.arm} (seed {run.cell.seed}) {words.decimal(run.result.score_percent)} % mIoU"
        for run in runs
    )
    images = "test image" if len(shown) == 1 else "test images"
    return (
        f"Predicted masks of {pair}: rows are {images} {positions}; columns are the image, its true mask and "
        f"the mask that each arm predicts. On all test images: {scores}"
    )


def _safe(pair: str) -> str:
    """A pair's name as a part of a file's name."""
    return pair if SAFE.match(pair) else re.sub(r"[^A-Za-z0-9]+", "-", pair)[:100]
