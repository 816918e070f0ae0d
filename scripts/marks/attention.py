"""Marks of structure-aware attention in DeiT and Swin."""

from marks.values import COUNTS, MIXING, PARITY, RELEASED, SIZES, Mark, Section, mistakes, structure, within

_CODE = "swatbench.swat.mixing.StructureAwareLinear"
_FILE = "swatbench/swat/mixing.py"
_REPLACE = "swatbench/models/replace.py"
_SWIN = "swatbench/models/families/swin.py"
_FORMULA = within(
    "tests/swat/test_mixing.py", "test_a_projection_is_the_mean_of_linear_and_convolution_with_q_first"
)
_BLOCKS = within("tests/models/test_apply.py", "test_swin_is_structured_where_its_windows_are_not_shifted")
_WHOLE = structure("test_structured_attention_is_attention_of_averaged_projections")

ATTENTION = Section(
    title="Token mixing by attention (DeiT, Swin)",
    marks=(
        Mark(
            name="token as an image",
            mark="C = (c h w): each token is an image of c segments, h × w, for the convolution",
            where=MIXING,
            code=(f"{_CODE}.forward",),
            tests=(
                *_FORMULA,
                *structure(
                    "test_attention_s_convolution_sees_each_token_as_its_cut_of_the_feature_map",
                    "test_swin_s_attention_sees_tokens_of_its_stage",
                    "test_no_image_reaches_another_of_its_batch",
                ),
            ),
            mutations=mistakes(
                _FILE,
                ("(h w c) in", '"B N (c h w) -> (B N) c h w"', '"B N (h w c) -> (B N) c h w"'),
                ("(c w h) in", '"B N (c h w) -> (B N) c h w"', '"B N (c w h) -> (B N) c h w"'),
                ("(h w c) out", '"(B N) c h w -> B N (c h w)"', '"(B N) c h w -> B N (h w c)"'),
                ("(c w h) out", '"(B N) c h w -> B N (c h w)"', '"(B N) c h w -> B N (c w h)"'),
                (
                    "tokens of different images",
                    '"(B N) c h w -> B N (c h w)"',
                    '"(N B) c h w -> B N (c h w)"',
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="average",
            mark="q, k, v = ½ · (linear + conv); the figure draws a sum, the released code averages",
            where=f"{MIXING}; {RELEASED}",
            code=(f"{_CODE}.forward",),
            tests=(*_FORMULA, *_WHOLE),
            mutations=mistakes(
                _FILE,
                ("the sum", 'self.scale = 0.5 if combine == "mean" else 1.0', "self.scale = 1.0"),
                ("the mean alone", 'self.scale = 0.5 if combine == "mean" else 1.0', "self.scale = 0.5"),
                ("no convolution", "(super().forward(input) + within)", "(super().forward(input))"),
                ("no linear map", "(super().forward(input) + within)", "within"),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="q first",
            mark="the convolution's 3c maps fall into three groups of c: q, k, v",
            where=RELEASED,
            code=(f"{_CODE}.forward",),
            tests=(*_FORMULA, *_WHOLE),
            mutations=mistakes(
                _FILE,
                (
                    "k before q",
                    "+ within)",
                    "+ torch.cat(within.split(self.image.C, -1)[::-1], -1))",
                ),
                (
                    "q, k, v of each segment side by side",
                    "        return self.scale * (super().forward(input) + within)",
                    "        if self.out_features == 3 * self.image.C:\n"
                    '            within = rearrange(within, "B N (c g s) -> B N (g c s)", g=3, s=16)\n'
                    "        return self.scale * (super().forward(input) + within)",
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="output",
            mark="after attention ½ · (linear + conv c → c), from the attended tokens",
            where=MIXING,
            code=("swatbench.models.replace.structure_attention",),
            tests=structure(
                "test_structured_attention_is_attention_of_averaged_projections",
                "test_swin_structures_both_projections_of_a_block_or_none",
            ),
            mutations=mistakes(
                _REPLACE,
                ("a plain output", "    for name in names:", "    for name in names[:-1]:"),
                ("plain q, k, v", "    for name in names:", "    for name in names[-1:]:"),
            ),
            also=(PARITY, COUNTS),
        ),
        Mark(
            name="attention's convolutions",
            mark="zeros around h × w; biases where the linear maps have them: DeiT and Swin do",
            where=RELEASED,
            code=(f"{_CODE}.__init__",),
            tests=(
                *_FORMULA,
                *_WHOLE,
                *structure("test_attention_s_convolutions_have_a_bias_where_the_linear_maps_have_one"),
            ),
            mutations=mistakes(
                _FILE,
                (
                    "edge pixels repeated",
                    "padding=kernel // 2,\n            bias=",
                    'padding=kernel // 2,\n            padding_mode="replicate",\n            bias=',
                ),
                (
                    "no bias",
                    "bias=linear.bias is not None,",
                    "bias=False,",
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="kernel within tokens",
            mark="k = 5 from h = 16, 3 from h = 8, else 1: 3 in DeiT; 1, 1, 3, 5 in Swin's stages",
            where=RELEASED,
            code=("swatbench.swat.geometry.token_kernel",),
            tests=(
                *within("tests/swat/test_geometry.py", "test_kernels_of_the_released_models"),
                *_BLOCKS,
                *SIZES,
            ),
            mutations=mistakes(
                "swatbench/swat/geometry.py",
                ("3 only above 8", "3 if side >= 8 else 1", "3 if side > 8 else 1"),
                ("5 only above 16", "return 5 if side >= 16", "return 5 if side > 16"),
                ("3 for small tokens", "3 if side >= 8 else 1", "3"),
            ),
            also=(PARITY, COUNTS),
        ),
        Mark(
            name="Swin's blocks",
            mark="blocks with unshifted windows: the even ones, and both of stage 4 (its grid is one window)",
            where=RELEASED,
            code=("swatbench.models.families.swin.structure",),
            tests=(*_BLOCKS, *structure("test_swin_structures_both_projections_of_a_block_or_none")),
            mutations=mistakes(
                _SWIN,
                ("the odd blocks", "and not _shifted(", "and _shifted("),
                ("every block", "and not _shifted(block, grid, window)", ""),
                (
                    "one block of stage 4",
                    "return any(block.target_shift_size) and (block.always_partition or not covered)",
                    "return any(block.target_shift_size)",
                ),
                (
                    "a grid as large as the window counts as larger",
                    "grid[0] <= window[0]",
                    "grid[0] < window[0]",
                ),
            ),
            also=(PARITY, COUNTS),
        ),
        Mark(
            name="Swin's tokens",
            mark="(c, h) by stage: (24, 2), (12, 4), (6, 8), (3, 16)",
            where=RELEASED,
            code=("swatbench.models.families.swin.structure",),
            tests=(*_BLOCKS, *structure("test_swin_s_attention_sees_tokens_of_its_stage")),
            mutations=mistakes(
                _SWIN,
                (
                    "h stays alpha",
                    "structure_attention(block.attn, side,",
                    "structure_attention(block.attn, g.alpha,",
                ),
                (
                    "the kernel of the first stage",
                    "kernel = g.token_kernel_at(stage, side)",
                    "kernel = g.token_kernel_at(stage, g.alpha)",
                ),
            ),
            also=(PARITY,),
        ),
    ),
)
