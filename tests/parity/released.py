"""Names and shapes of every parameter of the nine released variants, written out from their sizes.

C channels, c segments and E stem channels of a token; (O, I, k, k) is the weight of a convolution.
"""


def wb(name, *weight):
    """Weight and bias of a layer that puts out weight[0] channels."""
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def deit(C, depth, *, patch, c, grid_kernel):
    """Names and shapes of a released DeiT; tokens are c × 8 × 8."""
    N, side, stride = (224 // patch) ** 2, patch // 2, patch // 16
    shapes = {"pos_embed": (1, N, C), "patch_embed.pos_embed2": (1, 128, side, side)}
    shapes |= wb("patch_embed.proj21", 128, 3, 4, 4) | wb("patch_embed.proj22", c, 128, stride, stride)
    for i in range(depth):
        block = f"blocks.{i}"
        shapes |= wb(f"{block}.norm1", C) | wb(f"{block}.norm2", C)
        shapes |= wb(f"{block}.attn.qkv_linear", 3 * C, C) | wb(f"{block}.attn.qkv", 3 * c, c, 3, 3)
        shapes |= wb(f"{block}.attn.proj_linear", C, C) | wb(f"{block}.attn.proj", c, c, 3, 3)
        shapes |= mlp(f"{block}.mlp", C, 4 * C, grid_kernel)
    return shapes | wb("norm", C) | wb("head", 1000, C)


def mlp(name, features, hidden, kernel):
    """1 × 1 convolution, depthwise convolution, 1 × 1 convolution."""
    return (
        wb(f"{name}.fc1", hidden, features, 1, 1)
        | wb(f"{name}.fc3", hidden, 1, kernel, kernel)
        | wb(f"{name}.fc2", features, hidden, 1, 1)
    )


def mixer(C, depth, *, patch, c, E, token_kernel, grid_kernel):
    """Names and shapes of a released Mixer."""
    N = (224 // patch) ** 2
    shapes = wb("stem.proj21", E, 3, 2, 2) | wb("stem.proj22", c, E, 1, 1)
    for i in range(depth):
        block = f"blocks.{i}"
        shapes |= wb(f"{block}.norm1", C) | wb(f"{block}.norm2", C)
        shapes |= mlp(f"{block}.mlp_tokens", N, C // 2, token_kernel)
        shapes |= mlp(f"{block}.mlp_channels", C, 4 * C, grid_kernel)
    return shapes | wb("norm", C) | wb("head", 1000, C)


def resmlp(C, depth):
    """Names and shapes of the released ResMLP, with patches of 16 pixels."""
    shapes = wb("stem.proj21", 128, 3, 2, 2) | wb("stem.proj22", C // 64, 128, 1, 1)
    affine = {f"{at}.{name}": (1, 1, C) for at in ("norm1", "norm2") for name in ("alpha", "beta")}
    for i in range(depth):
        block = f"blocks.{i}"
        shapes |= {f"{block}.{name}": shape for name, shape in affine.items()}
        shapes |= {f"{block}.ls1": (C,), f"{block}.ls2": (C,)}
        shapes |= wb(f"{block}.linear_tokens1", 196, 196, 1, 1) | wb(f"{block}.linear_tokens2", 196, 1, 3, 3)
        shapes |= mlp(f"{block}.mlp_channels", C, 4 * C, 5)
    return shapes | {"norm.alpha": (1, 1, C), "norm.beta": (1, 1, C)} | wb("head", 1000, C)


def swin(depths):
    """Names and shapes of a released Swin of 96 channels; by stage (c, kernel in tokens, heads, merging)."""
    shapes = wb("patch_embed.proj21", 128, 3, 2, 2) | wb("patch_embed.proj22", 24, 128, 1, 1)
    shapes |= wb("patch_embed.norm2", 128) | wb("patch_embed.norm", 96)
    stages = ((24, 1, 3, 3), (12, 1, 6, 5), (6, 3, 12, 9), (3, 5, 24, None))
    for stage, (depth, (c, kernel, heads, merging)) in enumerate(zip(depths, stages, strict=True)):
        C = 96 * 2**stage
        for i in range(depth):
            block = f"layers.{stage}.blocks.{i}"
            shapes |= wb(f"{block}.norm1", C) | wb(f"{block}.norm2", C)
            shapes |= {f"{block}.attn.relative_position_bias_table": (13 * 13, heads)}
            if i % 2 == 0 or stage == 3:
                shapes |= wb(f"{block}.attn.qkv_linear", 3 * C, C)
                shapes |= wb(f"{block}.attn.qkv", 3 * c, c, kernel, kernel)
                shapes |= wb(f"{block}.attn.proj_linear", C, C)
                shapes |= wb(f"{block}.attn.proj", c, c, kernel, kernel)
            else:
                shapes |= wb(f"{block}.attn.qkv", 3 * C, C) | wb(f"{block}.attn.proj", C, C)
            shapes |= mlp(f"{block}.mlp", C, 4 * C, 3 if stage == 3 else 5)
        if merging:
            shapes |= wb(f"layers.{stage}.downsample.norm", c)
            shapes |= {f"layers.{stage}.downsample.reduction.weight": (c // 2, c, merging, merging)}
    return shapes | wb("norm", 768) | wb("head", 1000, 768)


# The release's names and shapes, and the published number of parameters.
RELEASED = {
    "deit_ti": (deit(192, 12, patch=16, c=3, grid_kernel=5), 5_827_883),
    "deit_s": (deit(384, 12, patch=16, c=6, grid_kernel=5), 22_264_910),
    "deit_b32": (deit(768, 12, patch=32, c=12, grid_kernel=3), 86_339_252),
    "mixer_ti": (mixer(256, 8, patch=16, c=4, E=64, token_kernel=3, grid_kernel=5), 5_098_572),
    "mixer_s": (mixer(512, 8, patch=16, c=8, E=128, token_kernel=3, grid_kernel=5), 18_583_696),
    "mixer_b32": (mixer(768, 12, patch=32, c=3, E=128, token_kernel=5, grid_kernel=3), 58_423_863),
    "resmlp_s12": (resmlp(384, 12), 15_560_766),
    "swin_t": (swin((2, 2, 6, 2)), 27_110_704),
    "swin_s": (swin((2, 2, 18, 2)), 48_915_760),
}
