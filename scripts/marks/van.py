"""Marks of SWAT-VAN, which the paper shows as one point; the reading is ours."""

from marks.values import Mark, Section, mistakes, within

_WHERE = "figure 1, one point; docs/adr/0009-swat-van.md"
_FILE = "swatbench/models/families/van.py"
_CODE = "swatbench.models.families.van"
_TESTS = "tests/models/test_van.py"
_TOKENS = within(_TESTS, "test_tokens_are_cuts_of_the_full_resolution_in_order_c_h_w")
_CHANNELS = within(_TESTS, "test_channel_mixing_has_activations_on_both_sides_of_its_convolution")

VAN = Section(
    title="VAN",
    marks=(
        Mark(
            name="VAN's tokens",
            mark="the first patch embedding as Swin's tokenizer; later ones at full resolution, then folded",
            where=_WHERE,
            code=(f"{_CODE}.PaddedTokenization", f"{_CODE}.structure"),
            tests=_TOKENS,
            mutations=(
                *mistakes(
                    "swatbench/swat/tokenization.py",
                    ("(h w c)", "-> B (c h w) H W", "-> B (h w c) H W"),
                    ("no activation", "x = F.gelu(x)", "x = x + 0"),
                ),
                *mistakes(
                    _FILE,
                    ("overlapping first patches", "g.alpha, overlap=False)", "g.alpha, overlap=True)"),
                    (
                        "a later kernel of 1 × 1",
                        "kernel=kernel,\n        strides=(1, 1)",
                        "kernel=1,\n        strides=(1, 1)",
                    ),
                    ("half the resolution first", "strides=(1, 1)", "strides=(2, 1)"),
                ),
            ),
        ),
        Mark(
            name="VAN's channel mixing",
            mark="1 × 1, GELU, depthwise k × k, GELU, 1 × 1; k = 5, 5, 5, 3",
            where=_WHERE,
            code=(f"{_CODE}.StructureAwareVANMlp.forward",),
            tests=_CHANNELS,
            mutations=mistakes(
                _FILE,
                (
                    "no first activation",
                    "self.act(among(self.act(self.fc1(x))))",
                    "self.act(among(self.fc1(x)))",
                ),
                (
                    "no second activation",
                    "self.act(among(self.act(self.fc1(x))))",
                    "among(self.act(self.fc1(x)))",
                ),
                (
                    "no depthwise convolution",
                    "self.act(among(self.act(self.fc1(x))))",
                    "self.act(self.act(self.fc1(x)))",
                ),
                (
                    "edge positions repeated instead of zeros",
                    "groups=own.groups,",
                    'groups=own.groups,\n        padding_mode="replicate",',
                ),
                (
                    "5 × 5 in the last stage",
                    "kernel = g.grid_kernel_at(stage, _grid(model, stage, g))",
                    "kernel = 5",
                ),
                (
                    "its own 3 × 3 kept",
                    "kernel = g.grid_kernel_at(stage, _grid(model, stage, g))",
                    "kernel = 3",
                ),
            ),
        ),
        Mark(
            name="VAN's cut-off patches",
            mark="zeros below and on the right where a size does not divide",
            where="not in the paper: other input sizes",
            code=(f"{_CODE}.PaddedTokenization.forward",),
            tests=within(_TESTS, "test_zeros_fill_up_a_cut_off_patch"),
            mutations=mistakes(
                _FILE,
                ("above and on the left", "F.pad(x, (0, right, 0, below))", "F.pad(x, (right, 0, below, 0))"),
            ),
        ),
        Mark(
            name="VAN's cost",
            mark="27.0 M parameters and 5.8 GMACs; 26.6 M and 5.0 of the plain VAN-B2",
            where=_WHERE,
            code=("swatbench.models.van.VAN", f"{_CODE}.structure"),
            tests=within(_TESTS, "test_sizes_can_be_chosen"),
            mutations=mistakes(
                _FILE,
                ("one merging left out", "stage > 0:", "stage > 1:"),
                (
                    "channel mixing with VAN's own kernel",
                    "kernel = g.grid_kernel_at(stage, _grid(model, stage, g))",
                    "kernel = 3",
                ),
            ),
            also=within(_TESTS, "test_counters_see_what_arithmetic_says"),
        ),
    ),
)
