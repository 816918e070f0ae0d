"""Geometry: the released sizes follow from patch, alpha, width and grid."""

import pytest

from swatbench.swat.geometry import (
    Geometry,
    grid_kernel,
    merge_kernel,
    stem_strides,
    token_image,
    token_kernel,
)


@pytest.mark.parametrize(
    ("C", "side", "c"),
    [(192, 8, 3), (384, 8, 6), (768, 8, 12), (256, 8, 4), (768, 16, 3), (96, 2, 24), (192, 4, 12)],
)
def test_segments_of_the_released_models(C, side, c):
    image = token_image(C, side)
    assert (image.c, image.C) == (c, c * side * side) == (c, C)


def test_strides_of_the_released_stems():
    assert [stem_strides(16, 8), stem_strides(32, 8), stem_strides(32, 16), stem_strides(4, 2)] == [
        (2, 1),
        (2, 2),
        (2, 1),
        (2, 1),
    ]


def test_kernels_of_the_released_models():
    assert [token_kernel(side) for side in (2, 4, 8, 16)] == [1, 1, 3, 5]
    assert [grid_kernel((side, side)) for side in (56, 28, 14, 7)] == [5, 5, 5, 3]
    assert [merge_kernel(side) for side in (2, 4, 8)] == [3, 5, 9]


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0}, {"alpha": 2, "token_kernel": 4}, {"alpha": 2, "stem_width": 0}]
)
def test_impossible_geometry_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Geometry(**wrong)
