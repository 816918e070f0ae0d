"""Marks of channel mixing, which all families have: an MLP with a convolution over the token grid."""

from marks.values import COUNTS, MIXING, PARITY, RELEASED, SIZES, Mark, Section, mistakes, structure, within

_MIXING = "swatbench.swat.mixing"
_FILE = "swatbench/swat/mixing.py"
_TESTS = "tests/swat/test_mixing.py"
_CHAIN = within(_TESTS, "test_channel_mixing_is_fc1_gelu_depthwise_gelu_fc2_over_the_grid")
_KIND = within(_TESTS, "test_the_second_activation_is_the_first_one_s_kind")
_IMAGE = within(_TESTS, "test_an_image_of_tokens_is_mixed_as_the_same_tokens_in_a_row")
_GRID = "test_channel_mixing_reaches_the_neighbours_of_a_token_on_a_grid_that_is_not_square"

INTO = 'x = rearrange(x, "B (s y x) D -> (B s) D y x"'
OUT = '"(B s) D y x -> B (s y x) D"'
NO_FIRST = (
    "no first activation",
    "self.mix(self.drop1(self.act(hidden)))",
    "self.mix(self.drop1(hidden))",
)
NO_SECOND = (
    "no second activation",
    "        if not self.prefix:\n            return self.act(_over_positions(",
    "        if not self.prefix:\n            return (_over_positions(",
)
NO_CONVOLUTION = ("no depthwise convolution", "rearrange(conv(x), ", "rearrange(x, ")
REPEATED = (
    "edge positions repeated instead of zeros",
    "padding=kernel // 2, groups=channels, **placed",
    'padding=kernel // 2, padding_mode="replicate", groups=channels, **placed',
)

CHANNEL_MIXING = Section(
    title="Channel mixing (all families)",
    marks=(
        Mark(
            name="channel mixing",
            mark="1 × 1 conv C → 4C, GELU, depthwise k × k, GELU, 1 × 1 conv 4C → C, zero padding",
            where=MIXING,
            code=(f"{_MIXING}.StructureAwareMlp.forward", f"{_MIXING}.AmongPositions.mix"),
            tests=(*_CHAIN, *_KIND),
            mutations=mistakes(
                _FILE,
                NO_FIRST,
                NO_SECOND,
                (
                    "the second activation always GELU",
                    "        if not self.prefix:\n            return self.act(",
                    "        if not self.prefix:\n            return F.gelu(",
                ),
                NO_CONVOLUTION,
                REPEATED,
            ),
            also=(PARITY, COUNTS),
        ),
        Mark(
            name="grid",
            mark="over the token grid: N = (H W)",
            where=MIXING,
            code=(f"{_MIXING}._over_positions", "swatbench.models.grid.TokenGrid"),
            tests=(
                *_CHAIN,
                *structure(
                    f"{_GRID}[False]",
                    f"{_GRID}[True]",
                    "test_mixers_channel_mixing_reaches_the_neighbours_of_a_token",
                ),
            ),
            mutations=(
                *mistakes(
                    _FILE,
                    ("H and W exchanged in", INTO, INTO.replace("(s y x)", "(s x y)")),
                    ("H and W exchanged out", OUT, OUT.replace("(s y x)", "(s x y)")),
                    ("a grid of W × H", "s=segments, y=height, x=width)", "s=segments, y=width, x=height)"),
                ),
                *mistakes(
                    "swatbench/models/grid.py",
                    ("W × H from the patch embedding", "return 1, H, W", "return 1, W, H"),
                    (
                        "W × H from the image at hand",
                        "(output.shape[1], output.shape[2])",
                        "(output.shape[2], output.shape[1])",
                    ),
                ),
            ),
        ),
        Mark(
            name="Swin's grid",
            mark="the same over Swin's tokens, which lie as an image already",
            where=MIXING,
            code=(f"{_MIXING}.AmongPositions.mix", "swatbench.models.families.swin.StructuredSwinBlock"),
            tests=_IMAGE,
            mutations=mistakes(
                _FILE,
                (
                    "W × H",
                    "return self.act(self.dwconv(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)",
                    "return self.act(self.dwconv(x.permute(0, 3, 2, 1))).permute(0, 3, 2, 1)",
                ),
                (
                    "no second activation",
                    "return self.act(self.dwconv(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)",
                    "return self.dwconv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)",
                ),
                (
                    "no depthwise convolution",
                    "return self.act(self.dwconv(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)",
                    "return self.act(x)",
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="kernel among tokens",
            mark="k = 5, but 3 where the grid is 7 × 7: DeiT-B/32, Mixer-B/32, Swin's last stage",
            where=RELEASED,
            code=("swatbench.swat.geometry.grid_kernel",),
            tests=(
                *within("tests/swat/test_geometry.py", "test_kernels_of_the_released_models"),
                *within(
                    "tests/models/test_apply.py",
                    "test_swin_is_structured_where_its_windows_are_not_shifted",
                    "test_the_designed_size_and_not_the_built_one_decides_kernels_and_blocks",
                ),
                *SIZES,
            ),
            mutations=(
                *mistakes(
                    "swatbench/swat/geometry.py",
                    ("5 on 7 × 7", "min(grid) >= 10", "min(grid) >= 7"),
                    ("3 on 14 × 14", "min(grid) >= 10", "min(grid) > 14"),
                ),
                *mistakes(
                    "swatbench/models/families/swin.py",
                    (
                        "the grid not halved by merging",
                        "side, grid = 2 * side, _halved(grid)",
                        "side = 2 * side",
                    ),
                ),
                *mistakes(
                    "swatbench/models/families/vit.py",
                    (
                        "DeiT's from the token's inside",
                        "kernel = g.grid_kernel_at(0, g.grid(embed.patch_size[0], embed.grid_size))",
                        "kernel = g.token_kernel_at(0, g.alpha)",
                    ),
                ),
                *mistakes(
                    "swatbench/models/families/mixer.py",
                    (
                        "Mixer's from the token's inside",
                        "kernel = g.grid_kernel_at(0, g.grid(embed.patch_size[0], embed.grid_size))",
                        "kernel = g.token_kernel_at(0, g.alpha)",
                    ),
                ),
            ),
            also=(PARITY, COUNTS),
        ),
        Mark(
            name="prefix tokens",
            mark="a class token has no place in the grid: it takes the plain MLP's way",
            where="not in the paper: other models of timm",
            code=(f"{_MIXING}.AmongPositions.mix", "swatbench.models.families.vit.structure"),
            tests=(
                *within(_TESTS, "test_prefix_tokens_take_the_plain_way_and_reach_no_other_token"),
                *within(
                    "tests/models/test_apply.py",
                    "test_a_class_token_takes_the_plain_way_through_channel_mixing",
                ),
            ),
            mutations=mistakes(
                _FILE,
                (
                    "the last tokens taken for it",
                    "apart, x = x[:, : self.prefix], x[:, self.prefix :]",
                    "x, apart = x[:, : -self.prefix], x[:, -self.prefix :]",
                ),
                (
                    "mixed into the first position",
                    "apart, x = x[:, : self.prefix], x[:, self.prefix :]",
                    "apart, x = x[:, : self.prefix], x[:, self.prefix :] + x[:, :1]",
                ),
                (
                    "no second activation beside it",
                    "(apart, self.act(_over_positions(self.dwconv, x, *self.positions.shape)))",
                    "(apart, _over_positions(self.dwconv, x, *self.positions.shape))",
                ),
                (
                    "grid tokens mixed into it",
                    "return torch.cat((apart, ",
                    "return torch.cat((apart + x[:, :1], ",
                ),
            ),
        ),
    ),
)
