"""Marks of merging: how Swin's tokens become the sub-patch image and tokens again, twice as large."""

from marks.values import COUNTS, PARITY, RELEASED, Mark, Section, mistakes, structure, within

_GEOMETRY = "swatbench/swat/geometry.py"
_GEOMETRY_TESTS = "tests/swat/test_geometry.py"
_CODE = "swatbench.swat.merging.StructureAwareMerging"
_FILE = "swatbench/swat/merging.py"
_FORMULA = "test_merging_convolves_the_unfolded_image_and_refolds_it_twice_as_large"
_TESTS = within("tests/swat/test_merging.py", _FORMULA)
_SWIN = "swatbench/models/families/swin.py"

MERGING = Section(
    title="Merging (Swin)",
    marks=(
        Mark(
            name="unfold",
            mark="(c h w) → (H h) (W w) c: tokens back to the sub-patch image",
            where=RELEASED,
            code=(f"{_CODE}.forward",),
            tests=(*_TESTS, *structure("test_merging_sees_the_tokenizer_s_feature_map")),
            mutations=mistakes(
                _FILE,
                ("(h w c)", '"B H W (c h w) ->', '"B H W (h w c) ->'),
                ("(c w h)", '"B H W (c h w) ->', '"B H W (c w h) ->'),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="merging norm",
            mark="LayerNorm over c, eps 1e-5",
            where=RELEASED,
            code=(f"{_CODE}.forward", "swatbench.models.families.swin.structure"),
            tests=(*_TESTS, *structure("test_norms_have_the_released_epsilons")),
            mutations=(
                *mistakes(
                    _FILE,
                    (
                        "left out",
                        'self.norm_c(rearrange(x, "B H W (c h w) -> B (H h) (W w) c", h=h, w=w))',
                        'rearrange(x, "B H W (c h w) -> B (H h) (W w) c", h=h, w=w)',
                    ),
                ),
                *mistakes(_SWIN, ("eps 1e-6", "norm_eps=norm.eps", "norm_eps=1e-6")),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="merging convolution",
            mark="conv c → c/2, k × k, zero padding, no bias; k = 3, 5, 9 for h = 2, 4, 8",
            where=RELEASED,
            code=(f"{_CODE}.__init__", "swatbench.swat.geometry.merge_kernel"),
            tests=(
                *_TESTS,
                *within(_GEOMETRY_TESTS, "test_kernels_of_the_released_models"),
                *within(
                    "tests/models/test_apply.py", "test_swin_is_structured_where_its_windows_are_not_shifted"
                ),
            ),
            mutations=(
                *mistakes(
                    _FILE,
                    (
                        "edge pixels repeated instead of zeros",
                        "padding=kernel // 2, bias=False",
                        'padding=kernel // 2, padding_mode="replicate", bias=False',
                    ),
                    ("with a bias", "bias=False", "bias=True"),
                ),
                *mistakes(_GEOMETRY, ("3, 7, 15", "return side + 1", "return 2 * side - 1")),
                *mistakes(
                    _SWIN,
                    (
                        "kernels of the stage before",
                        "g.merge_kernel_at(stage - 1, side)",
                        "g.merge_kernel_at(stage - 1, max(side // 2, 2))",
                    ),
                ),
            ),
            also=(PARITY, COUNTS),
        ),
        Mark(
            name="refold",
            mark="(H 2h) (W 2w) → (c/2 2h 2w): windows twice as large",
            where=RELEASED,
            code=(f"{_CODE}.forward",),
            tests=(*_TESTS, *structure("test_merging_sees_the_tokenizer_s_feature_map")),
            mutations=mistakes(
                _FILE,
                ("(2h 2w c/2)", "-> B H W (c h w)", "-> B H W (h w c)"),
                ("(c/2 2w 2h)", "-> B H W (c h w)", "-> B H W (c w h)"),
                ("sub-patches of different tokens", '"B c (H h) (W w) ->', '"B c (h H) (w W) ->'),
                (
                    "halves exchanged: c and h of the stage before, the four merged tokens last",
                    'return rearrange(pixels, "B c (H h) (W w) -> B H W (c h w)", h=2 * h, w=2 * w)',
                    "return rearrange(\n"
                    '            pixels, "B c (H i h) (W j w) -> B H W (i j c h w)", h=h, w=w, i=2, j=2\n'
                    "        )",
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="odd grid",
            mark="an odd side of the grid gets a row or column of zero tokens, as in the baseline",
            where="not in the paper: other input sizes",
            code=(f"{_CODE}.forward",),
            tests=within("tests/swat/test_merging.py", "test_an_odd_side_is_padded_with_zero_tokens"),
            mutations=mistakes(
                _FILE,
                ("above instead of below", "(0, 0, 0, W % 2, 0, H % 2)", "(0, 0, 0, W % 2, H % 2, 0)"),
            ),
        ),
    ),
)
