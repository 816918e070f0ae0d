"""Geometry: the released sizes follow from patch, alpha, width and grid."""

import pytest

from swatbench.swat.geometry import (
    Geometry,
    grid_kernel,
    merge_kernel,
    stem,
    token_image,
    token_kernel,
    widest_alpha,
)


@pytest.mark.parametrize(
    ("C", "side", "c"),
    [(192, 8, 3), (384, 8, 6), (768, 8, 12), (256, 8, 4), (768, 16, 3), (96, 2, 24), (192, 4, 12)],
)
def test_segments_of_the_released_models(C, side, c):
    image = token_image(C, side)
    assert (image.c, image.C) == (c, c * side * side) == (c, C)


@pytest.mark.parametrize(
    ("patch", "alpha", "overlap", "kernel", "strides", "padding", "token_side"),
    [
        (16, 8, True, 4, (2, 1), 1, 8),  # DeiT-Ti, -S
        (32, 8, True, 4, (2, 2), 1, 16),  # DeiT-B/32
        (16, 8, False, 2, (2, 1), 0, 8),  # Mixer-Ti, -S, ResMLP
        (32, 16, False, 2, (2, 1), 0, 16),  # Mixer-B/32
        (4, 2, False, 2, (2, 1), 0, 2),  # Swin
        (14, 2, True, 13, (7, 1), 3, 2),  # an odd sub-patch: divided by its smallest factor first
    ],
)
def test_stems_of_the_released_models(patch, alpha, overlap, kernel, strides, padding, token_side):
    sizes = stem(patch, alpha, overlap=overlap)
    assert (sizes.kernel, sizes.strides, sizes.padding, sizes.token_side) == (
        kernel,
        strides,
        padding,
        token_side,
    )


@pytest.mark.parametrize(("patch", "alpha"), [(16, 16), (16, 5), (14, 4)])
def test_a_patch_that_cannot_be_cut_is_named(patch, alpha):
    with pytest.raises(ValueError, match=f"patch {patch} cannot be cut into alpha {alpha} "):
        stem(patch, alpha, overlap=True)


def test_alpha_is_the_paper_s_or_the_most_that_fits():
    assert widest_alpha(16, {192}, most=8) == 8
    assert widest_alpha(32, {768}, most=8) == 8
    assert widest_alpha(14, {1152}, most=8) == 2  # 1152 is no multiple of 7²
    assert widest_alpha(16, {96, 192}, most=8) == 4  # 96 is no multiple of 8²
    assert widest_alpha(16, {65}, most=8) == 1


def test_kernels_may_be_one_or_one_for_each_stage():
    by_stage = Geometry(alpha=2, token_kernel=(1, 1, 3, 5), grid_kernel=7)
    assert [by_stage.token_kernel_at(stage, 2) for stage in range(4)] == [1, 1, 3, 5]
    assert [by_stage.grid_kernel_at(stage, (7, 7)) for stage in range(4)] == [7, 7, 7, 7]
    assert by_stage.merge_kernel_at(2, 8) == 9
    with pytest.raises(ValueError, match=r"token_kernel \(1, 1, 3, 5\) names 4 stages"):
        by_stage.token_kernel_at(4, 2)


def test_the_grid_is_that_of_the_designed_size_or_the_model_s_own():
    assert Geometry(alpha=2, img_size=224).grid(4, (128, 32)) == (56, 56)
    assert Geometry(alpha=2).grid(4, (128, 32)) == (128, 32)
    with pytest.raises(ValueError, match="no input size"):
        Geometry(alpha=2).grid(4, None)


def test_kernels_of_the_released_models():
    assert [token_kernel(side) for side in (2, 4, 8, 16)] == [1, 1, 3, 5]
    assert [grid_kernel((side, side)) for side in (56, 28, 14, 7)] == [5, 5, 5, 3]
    assert [merge_kernel(side) for side in (2, 4, 8)] == [3, 5, 9]


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0},
        {"alpha": 2, "token_kernel": 4},
        {"alpha": 2, "stem_width": 0},
        {"alpha": 2, "grid_kernel": (5, 4)},
    ],
)
def test_impossible_geometry_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Geometry(**wrong)
