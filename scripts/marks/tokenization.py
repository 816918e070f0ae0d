"""Marks of tokenization: how sub-patches come to lie side by side in a token's channels."""

from marks.values import OVERVIEW, PARITY, RELEASED, SIZES, Mark, Section, mistakes, structure, within

_CODE = "swatbench.swat.tokenization.StructureAwareTokenization"
_FILE = "swatbench/swat/tokenization.py"
_TESTS = "tests/swat/test_tokenization.py"
_GEOMETRY = "swatbench/swat/geometry.py"
_GEOMETRY_TESTS = "tests/swat/test_geometry.py"
_REPLACE = "swatbench/models/replace.py"

TOKENIZATION = Section(
    title="Tokenization",
    marks=(
        Mark(
            name="alpha",
            mark="p × p pixels are cut into alpha × alpha sub-patches of p/alpha × p/alpha; "
            "at most 8 × 8 of them in DeiT, 2 × 2 pixels each elsewhere",
            where=f"{OVERVIEW}; sizes from the {RELEASED}",
            code=("swatbench.models.apply.default_geometry", "swatbench.swat.geometry.widest_alpha"),
            tests=within(
                "tests/models/test_apply.py", "test_default_geometry_is_the_paper_s_or_the_nearest_that_fits"
            ),
            mutations=mistakes(
                "swatbench/models/apply.py",
                ("16 × 16 sub-patches in DeiT", "DEIT_ALPHA = 8", "DEIT_ALPHA = 16"),
                (
                    "sub-patches of four pixels",
                    "most = patch // 2 if isinstance",
                    "most = patch // 4 if isinstance",
                ),
            ),
        ),
        Mark(
            name="first convolution",
            mark="conv 3 → E, k1 × k1, stride s1; DeiT's reaches over its stride (4, 2, padding 1), "
            "the others' does not (2, 2, 0)",
            where=f"{OVERVIEW}; sizes from the {RELEASED}",
            code=("swatbench.swat.geometry.stem", f"{_CODE}.__init__"),
            tests=(
                *within(_GEOMETRY_TESTS, "test_stems_of_the_released_models"),
                *within(_TESTS, "test_the_image_is_padded_with_zeros"),
                *SIZES,
            ),
            mutations=(
                *mistakes(
                    _GEOMETRY,
                    (
                        "no overlap anywhere",
                        "padding = first // 2 if overlap else 0",
                        "padding = 0",
                    ),
                    (
                        "overlap everywhere",
                        "padding = first // 2 if overlap else 0",
                        "padding = first // 2",
                    ),
                    (
                        "strides of the two convolutions exchanged",
                        "strides=(first, side // first)",
                        "strides=(side // first, first)",
                    ),
                ),
                *mistakes(
                    _FILE,
                    (
                        "edge pixels repeated instead of zeros",
                        "kernel, first, padding, device=device",
                        'kernel, first, padding, padding_mode="replicate", device=device',
                    ),
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="position",
            mark="+ position (1, E, a, a), tiled over the grid, before the activation; DeiT only",
            where=RELEASED,
            code=(f"{_CODE}.forward", "swatbench.models.families.vit.structure"),
            tests=(
                *within(
                    _TESTS,
                    "test_the_position_is_tiled_and_added_before_the_activation_and_the_norm_follows_it",
                ),
                *structure("test_only_deit_has_a_position_within_the_token_and_only_swin_a_norm_over_e"),
                *SIZES,
            ),
            mutations=(
                *mistakes(
                    _FILE,
                    (
                        "added after the activation",
                        "        if self.pos_embed is not None:\n"
                        "            x = _add_in_each_token(x, self.pos_embed)\n"
                        "        x = F.gelu(x)\n",
                        "        x = F.gelu(x)\n"
                        "        if self.pos_embed is not None:\n"
                        "            x = _add_in_each_token(x, self.pos_embed)\n",
                    ),
                    (
                        "each of its pixels repeated instead of tiled",
                        '    cells = rearrange(x, "B E (H y) (W x) -> B E H y W x", y=a, x=a)\n'
                        "    return rearrange(cells + position[:, :, None, :, None], "
                        '"B E H y W x -> B E (H y) (W x)")',
                        '    cells = rearrange(x, "B E (y H) (x W) -> B E H y W x", y=a, x=a)\n'
                        "    return rearrange(cells + position[:, :, None, :, None], "
                        '"B E H y W x -> B E (y H) (x W)")',
                    ),
                    (
                        "its height and width exchanged",
                        "cells + position[:, :, None, :, None]",
                        "cells + position.transpose(2, 3)[:, :, None, :, None]",
                    ),
                ),
                *mistakes(
                    "swatbench/models/families/vit.py",
                    (
                        "no position in DeiT",
                        'position=getattr(model, "pos_embed", None) is not None',
                        "position=False",
                    ),
                ),
                *mistakes(
                    "swatbench/models/families/swin.py",
                    ("a position in Swin", "position=False", "position=True"),
                ),
                *mistakes(
                    _REPLACE,
                    (
                        "as large as the token after the second convolution",
                        "position_side=sizes.token_side if",
                        "position_side=g.alpha if",
                    ),
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="stem activation",
            mark="GELU between the convolutions",
            where=OVERVIEW,
            code=(f"{_CODE}.forward",),
            tests=within(
                _TESTS,
                "test_a_token_is_the_cut_of_the_feature_map_in_order_c_h_w",
                "test_the_position_is_tiled_and_added_before_the_activation_and_the_norm_follows_it",
            ),
            mutations=mistakes(
                _FILE,
                ("no activation", "x = F.gelu(x)", "x = x + 0"),
                ("its tanh approximation", "x = F.gelu(x)", 'x = F.gelu(x, approximate="tanh")'),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="stem norm",
            mark="LayerNorm over E, eps 1e-5, only where the patch embedding has a norm: Swin",
            where=RELEASED,
            code=(f"{_CODE}.forward", "swatbench.models.replace.tokenize"),
            tests=(
                *within(
                    _TESTS,
                    "test_the_position_is_tiled_and_added_before_the_activation_and_the_norm_follows_it",
                ),
                *structure(
                    "test_swin_s_tokenizer_has_a_norm_over_e_and_keeps_its_own_over_c",
                    "test_only_deit_has_a_position_within_the_token_and_only_swin_a_norm_over_e",
                    "test_norms_have_the_released_epsilons",
                ),
            ),
            mutations=(
                *mistakes(
                    _FILE,
                    ("left out", "if not isinstance(self.norm, nn.Identity):", "if self.norm is None:"),
                    (
                        "before the activation",
                        "        x = F.gelu(x)\n"
                        "        if not isinstance(self.norm, nn.Identity):\n"
                        "            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)\n",
                        "        if not isinstance(self.norm, nn.Identity):\n"
                        "            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)\n"
                        "        x = F.gelu(x)\n",
                    ),
                    (
                        "eps 1e-6",
                        "nn.LayerNorm(stem_width, eps=norm_eps,",
                        "nn.LayerNorm(stem_width, 1e-6,",
                    ),
                ),
                *mistakes(
                    _REPLACE,
                    (
                        "eps not the patch embedding's",
                        "norm_eps=None if isinstance(embed.norm, nn.Identity) else embed.norm.eps",
                        "norm_eps=None if isinstance(embed.norm, nn.Identity) else 1e-6",
                    ),
                    (
                        "a norm in every family",
                        "norm_eps=None if isinstance(embed.norm, nn.Identity) else embed.norm.eps",
                        "norm_eps=1e-5",
                    ),
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="second convolution",
            mark="conv E → c, k2 × k2, stride s2 (1, or 2 in DeiT-B/32)",
            where=f"{OVERVIEW}; sizes from the {RELEASED}",
            code=(f"{_CODE}.__init__",),
            tests=(
                *structure("test_the_second_convolution_sees_every_pixel_of_its_cell_and_no_other"),
                *SIZES,
            ),
            mutations=mistakes(
                _FILE,
                ("1 × 1 at stride 2", "c, second, second, bias=bias", "c, 1, second, bias=bias"),
            ),
        ),
        Mark(
            name="fold",
            mark="b c (H h) (W w) → (c h w) H W: the sub-patches of a token side by side in its channels",
            where=OVERVIEW,
            code=(f"{_CODE}.forward", "swatbench.swat.geometry.token_image"),
            tests=(
                *within(
                    _TESTS,
                    "test_a_token_is_the_cut_of_the_feature_map_in_order_c_h_w",
                    "test_one_pixel_reaches_one_sub_patch_of_one_token_without_overlap",
                ),
                *structure("test_attention_s_convolution_sees_each_token_as_its_cut_of_the_feature_map"),
            ),
            mutations=mistakes(
                _FILE,
                ("(h w c)", "-> B (c h w) H W", "-> B (h w c) H W"),
                ("(c w h)", "-> B (c h w) H W", "-> B (c w h) H W"),
                ("the grid transposed", "-> B (c h w) H W", "-> B (c h w) W H"),
                ("sub-patches of different tokens", '"B c (H h) (W w) ->', '"B c (h H) (w W) ->'),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="own norm",
            mark="the baseline's own norm over C after it, where it has one: Swin",
            where=RELEASED,
            code=("swatbench.models.replace.tokenize",),
            tests=structure("test_swin_s_tokenizer_has_a_norm_over_e_and_keeps_its_own_over_c"),
            mutations=mistakes(
                _REPLACE,
                (
                    "left out",
                    "    embed.proj = StructureAwareTokenization(",
                    "    own, embed.norm = embed.norm, nn.Identity()\n"
                    "    embed.proj = StructureAwareTokenization(",
                ),
            ),
            also=(PARITY,),
        ),
    ),
)
