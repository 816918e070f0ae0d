"""Places in a model: modules that stand in rows are one place, and every place belongs to a part.

The parts are those that SWAT changes (tokenization, token mixing, channel mixing, merging), the head, and
what is none of these. They are told by the names that timm gives to the modules of its models.
"""

import re

OTHER = "other"
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")

_PARTS = (
    ("tokenization", r"patch_embed\w*|stem\w*|conv_stem|tokenizer|pos_embed|pos_drop|cls_token"),
    ("merging", r"downsample\w*|merging|reduction"),
    ("channel mixing", r"mlp|mlp_channels|ffn|convffn|feed_forward"),
    # Before token mixing, one of whose names begins like that of pooling by attention.
    ("head", r"head\w*|decoder|auxiliary\w*|classifier|fc|fc_norm|norm_head|global_pool|attn_pool"),
    (
        "token mixing",
        r"attn\w*|attention\w*|self_attn|mlp_tokens|linear_tokens|token_mix\w*|mixer|rel_pos\w*",
    ),
    ("norms and skips", r"norm\w*|ls\d?|layer_scale\w*|drop_path\w*"),
)
"""Part and names of modules that belong to it; of a path, its first module that is named here decides.

Of the parts that have a name the first holds.
"""
_LATER_STAGES = re.compile(r"(backbone\.)?patch_embeds\.[1-9]")
"""What merges tokens in VAN, whose tokenizer is the first of these."""


def place_of(path: str) -> str:
    """A module's path with `*` for every number, so that equal blocks share one.

    >>> place_of("layers.2.blocks.10.attn.qkv")
    'layers.*.blocks.*.attn.qkv'
    """
    return _NUMBER.sub("*", path)


def part_of(path: str) -> str:
    """The part of a model that a module's path, with its numbers, belongs to.

    >>> [part_of(path) for path in ("patch_embed.proj", "blocks.9.attn.qkv", "blocks.3.mlp.fc1", "norm")]
    ['tokenization', 'token mixing', 'channel mixing', 'norms and skips']
    """
    if _LATER_STAGES.match(path):
        return "merging"
    for name in path.split("."):
        for part, names in _PARTS:
            if re.fullmatch(names, name):
                return part
    return OTHER
