"""Marks of whole models: what surrounds the structured layers, and what the release calls its parameters."""

from marks.values import COUNTS, PARITY, RELEASED, SIZES, Mark, Section, mistakes, structure, within

_CATALOG = "swatbench/spec/catalog.py"
_RELEASE = "swatbench/models/release.py"
_RELEASE_TESTS = "tests/models/test_release.py"
_CONTROL = "test_deit_has_no_class_token_and_the_classifier_reads_the_mean_after_the_norm"

MODELS = Section(
    title="Whole models",
    marks=(
        Mark(
            name="no class token",
            mark="DeiT has no class token in either arm: position N × C, mean of the tokens after the norm",
            where=f"{RELEASED}; docs/adr/0003-deit-control.md",
            code=("swatbench.spec.catalog.PAIRS",),
            tests=structure(f"{_CONTROL}[baseline]", f"{_CONTROL}[swat]"),
            mutations=mistakes(
                _CATALOG,
                (
                    "the class token kept",
                    '{"class_token": False, "global_pool": "avg"',
                    '{"class_token": True, "global_pool": "avg"',
                ),
                ("the mean before the norm", '"fc_norm": False', '"fc_norm": True'),
                ("the largest instead of the mean", '"global_pool": "avg"', '"global_pool": "max"'),
            ),
            also=(PARITY, COUNTS),
        ),
        Mark(
            name="epsilons",
            mark="LayerNorm's eps: 1e-6 in DeiT and Mixer, 1e-5 in Swin",
            where=RELEASED,
            code=("swatbench.models.replace.tokenize", "swatbench.models.families.swin.structure"),
            tests=structure("test_norms_have_the_released_epsilons"),
            mutations=(
                *mistakes(
                    "swatbench/models/families/swin.py",
                    ("1e-6 in merging", "norm_eps=norm.eps", "norm_eps=1e-6"),
                ),
                *mistakes(
                    "swatbench/models/replace.py",
                    ("1e-6 in the tokenizer", "else embed.norm.eps", "else 1e-6"),
                ),
            ),
            also=(PARITY,),
        ),
        Mark(
            name="sizes",
            mark="E, alpha, width and depth of each variant",
            where=f"table of results; {RELEASED}",
            code=("swatbench.spec.catalog.PAIRS",),
            tests=SIZES,
            mutations=mistakes(
                _CATALOG,
                ("E = 128 in Mixer-Ti", "stem_width=64", "stem_width=128"),
                ("8 × 8 sub-patches in Mixer-B/32", "alpha=16", "alpha=8"),
                (
                    "Mixer-Ti as wide as DeiT-Ti",
                    '"embed_dim": 256, "num_blocks": 8',
                    '"embed_dim": 192, "num_blocks": 8',
                ),
            ),
            also=(COUNTS,),
        ),
        Mark(
            name="names",
            mark="parameters of a checkpoint of the released code: its attn.qkv is our convolution, its "
            "attn.qkv_linear our linear map",
            where=RELEASED,
            code=("swatbench.models.release.RENAMES", "swatbench.models.release.convert_state_dict"),
            tests=within(
                _RELEASE_TESTS,
                "test_the_reading_of_the_table_that_is_easiest_to_get_wrong",
                "test_every_released_variant_fits_whole",
            ),
            mutations=mistakes(
                _RELEASE,
                (
                    "the linear map taken for the convolution",
                    '        _PROJECTION + "_linear",\n        _PROJECTION,\n',
                    "        _PROJECTION,\n        _PROJECTION,\n",
                ),
                (
                    "merging of the stage after",
                    '"layers.{i}.downsample.norm", "layers.{i+1}.downsample.norm_c"',
                    '"layers.{i+1}.downsample.norm", "layers.{i+1}.downsample.norm_c"',
                ),
                (
                    "the two convolutions of the tokenizer exchanged",
                    'Rename("{patch_embed|stem}.proj21", "{patch_embed|stem}.proj.conv1"',
                    'Rename("{patch_embed|stem}.proj22", "{patch_embed|stem}.proj.conv1"',
                ),
                (
                    "the depthwise convolution taken for the second map",
                    'Rename(_MLP + ".fc3", _MLP + ".dwconv"',
                    'Rename(_MLP + ".fc2", _MLP + ".dwconv"',
                ),
            ),
            also=(PARITY,),
        ),
    ),
)
