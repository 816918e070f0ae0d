"""Marks of token mixing by MLPs: in Mixer and ResMLP each segment of a token is an image."""

from marks.channels import INTO, NO_CONVOLUTION, NO_FIRST, NO_SECOND, OUT, REPEATED
from marks.values import COUNTS, MIXING, PARITY, RELEASED, SIZES, Mark, Section, mistakes, structure, within

_MIXING = "swatbench.swat.mixing"
_FILE = "swatbench/swat/mixing.py"
_TESTS = "tests/swat/test_mixing.py"
_SEGMENTS = within(_TESTS, "test_token_mixing_of_mixer_keeps_segments_apart")
_RESMLP = within(_TESTS, "test_token_linear_of_resmlp_has_no_second_map_and_no_second_activation")
_SEEN = "test_token_mixing_of_mixers_sees_each_segment_as_an_image_with_a_channel_for_each_token"

TOKEN_MIXING = Section(
    title="Token mixing by MLPs (Mixer, ResMLP)",
    marks=(
        Mark(
            name="segments",
            mark="(B c) N h w: each of the c segments is an image of h × w with N channels",
            where=MIXING,
            code=(f"{_MIXING}._over_positions", "swatbench.models.families.mixer.structure"),
            tests=(
                *_SEGMENTS,
                *_RESMLP,
                *structure(
                    f"{_SEEN}[mixer]", f"{_SEEN}[resmlp]", "test_no_image_reaches_another_of_its_batch"
                ),
            ),
            mutations=mistakes(
                _FILE,
                ("(h w c) in", INTO, INTO.replace("(s y x)", "(y x s)")),
                ("(c w h) in", INTO, INTO.replace("(s y x)", "(s x y)")),
                ("(h w c) out", OUT, OUT.replace("(s y x)", "(y x s)")),
                ("(c w h) out", OUT, OUT.replace("(s y x)", "(s x y)")),
                (
                    "(c w h) in and out",
                    'x = rearrange(x, "B (s y x) D -> (B s) D y x", s=segments, y=height, x=width)\n'
                    '    return rearrange(conv(x), "(B s) D y x -> B (s y x) D", s=segments)',
                    'x = rearrange(x, "B (s x y) D -> (B s) D y x", s=segments, y=height, x=width)\n'
                    '    return rearrange(conv(x), "(B s) D y x -> B (s x y) D", s=segments)',
                ),
                ("segments of different images", OUT, OUT.replace("(B s)", "(s B)")),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="Mixer's token mixing",
            mark="1 × 1 conv N → D_t, GELU, depthwise k × k, GELU, 1 × 1 conv D_t → N",
            where=MIXING,
            code=(f"{_MIXING}.StructureAwareMlp.forward",),
            tests=_SEGMENTS,
            mutations=mistakes(_FILE, NO_FIRST, NO_SECOND, NO_CONVOLUTION, REPEATED),
            also=(PARITY, COUNTS),
        ),
        Mark(
            name="Mixer's kernels",
            mark="depthwise 3 × 3 within tokens of 8 × 8, 5 × 5 within those of 16 × 16 (Mixer-B/32)",
            where=RELEASED,
            code=("swatbench.models.families.mixer.structure",),
            tests=SIZES,
            mutations=mistakes(
                "swatbench/models/families/mixer.py",
                (
                    "the kernel among tokens",
                    "_mix_tokens(block, image, g.token_kernel_at(0, g.alpha))",
                    "_mix_tokens(block, image, g.grid_kernel_at(0, embed.grid_size))",
                ),
            ),
            also=(COUNTS,),
        ),
        Mark(
            name="ResMLP's token mixing",
            mark="1 × 1 conv N → N, GELU, depthwise 3 × 3; no activation after it and no second map",
            where=RELEASED,
            code=(f"{_MIXING}.StructureAwareTokenLinear.forward",),
            tests=_RESMLP,
            mutations=mistakes(
                _FILE,
                ("no activation", "x = F.gelu(super().forward(input))", "x = super().forward(input)"),
                (
                    "its tanh approximation",
                    "x = F.gelu(super().forward(input))",
                    'x = F.gelu(super().forward(input), approximate="tanh")',
                ),
                (
                    "a second activation",
                    "return _over_positions(self.dwconv, x, *self.image.shape)",
                    "return F.gelu(_over_positions(self.dwconv, x, *self.image.shape))",
                ),
                (
                    "the activation after the convolution",
                    "        x = F.gelu(super().forward(input))\n"
                    "        return _over_positions(self.dwconv, x, *self.image.shape)",
                    "        x = super().forward(input)\n"
                    "        return F.gelu(_over_positions(self.dwconv, x, *self.image.shape))",
                ),
                NO_CONVOLUTION,
                REPEATED,
            ),
            also=(PARITY, COUNTS),
        ),
    ),
)
