"""Triton kernels of GELU → depthwise k × k → GELU on channels-last images, and of its gradients.

x, z and their gradients (B, H, W, D); y, what the convolution gives, is never kept. Weights come as (k·k, D).

Triton cannot shift what lies in registers, so a tap that is loaded where it is needed would cost a GELU of
its own: k² for every pixel. `convolve` therefore walks along a strip of rows, takes the GELU of each of its
pixels once, and holds the sums of the k columns that are not complete yet. `gradients` shifts only a plain
tensor, which costs none.
"""

# To a type checker, Triton's language is not Python, and Triton is missing on some machines.
# pyright: reportGeneralTypeIssues=false, reportInvalidTypeForm=false, reportArgumentType=false
# pyright: reportMissingImports=false

try:
    import triton
    import triton.language as tl
except ImportError:  # What is below is never called then, but documentation and tests read the module.
    from types import SimpleNamespace

    triton = SimpleNamespace(jit=lambda kernel: kernel)
    tl = SimpleNamespace(constexpr=int)


@triton.jit
def _gelu(x):
    return 0.5 * x * (1 + tl.erf(x * 0.7071067811865476))


@triton.jit
def _slope(x):
    """Derivative of GELU."""
    return 0.5 * (1 + tl.erf(x * 0.7071067811865476)) + x * tl.exp(-0.5 * x * x) * 0.3989422804014327


@triton.jit
def convolve(  # noqa: C901, PLR0917 (one launch, one function)
    x,
    weight,
    bias,
    grad_z,
    out,
    strips,
    H,
    W,
    D,
    K: tl.constexpr,
    ROWS: tl.constexpr,
    STRIPS: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BACKWARD: tl.constexpr,
):
    """Write z, or, backward, the gradient of y: that of z times the slope of GELU at y, computed anew.

    A program serves STRIPS strips of ROWS rows each, over their whole width, and BLOCK_D channels.
    """
    P: tl.constexpr = K // 2
    strip = tl.program_id(0) * STRIPS + tl.arange(0, STRIPS)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    in_image = tl.cdiv(H, ROWS)
    top = strip % in_image * ROWS
    start = ((strip // in_image).to(tl.int64) * H * W * D)[:, None] + d[None, :]
    inside = (strip < strips)[:, None] & (d < D)[None, :]

    taps = ()
    for tap in tl.static_range(K * K):
        taps = taps + (tl.load(weight + tap * D + d, mask=d < D, other=0).to(tl.float32)[None, :],)  # noqa: RUF005
    fresh = tl.zeros([STRIPS, BLOCK_D], tl.float32)
    fresh += tl.load(bias + d, mask=d < D, other=0).to(tl.float32)[None, :]
    sums = ()
    for _ in tl.static_range(K * ROWS):
        sums = sums + (fresh,)  # noqa: RUF005 (Triton knows no other way to extend a tuple)

    for column in range(W + P):
        height = tl.where(
            column < W, H, 0
        )  # rows to read: none where only complete sums remain to be written
        for i in tl.static_range(ROWS + K - 1):
            row = top + i - P
            seen = inside & ((row >= 0) & (row < height))[:, None]
            a = _gelu(
                tl.load(x + start + ((row * W + column) * D)[:, None], mask=seen, other=0).to(tl.float32)
            )
            for r in tl.static_range(ROWS):
                if i >= r and i < r + K:
                    for j in tl.static_range(K):
                        # The sums at j belong to output column `column - P + j`.
                        added = sums[j * ROWS + r] + taps[(i - r) * K + K - 1 - j] * a
                        sums = sums[: j * ROWS + r] + (added,) + sums[j * ROWS + r + 1 :]  # noqa: RUF005
        height = tl.where(column >= P, H, 0)
        for r in tl.static_range(ROWS):
            row = top + r
            at = start + ((row * W + column - P) * D)[:, None]
            seen = inside & (row < height)[:, None]
            y = sums[r]
            if BACKWARD:
                value = tl.load(grad_z + at, mask=seen, other=0).to(tl.float32) * _slope(y)
            else:
                value = _gelu(y)
            tl.store(out + at, value.to(out.dtype.element_ty), mask=seen)
        sums = sums[ROWS:]
        for _ in tl.static_range(ROWS):
            sums = sums + (fresh,)  # noqa: RUF005


@triton.jit
def gradients(  # noqa: PLR0917
    x,
    grad_y,
    weight,
    grad_x,
    partial,
    positions,
    tiles,
    H,
    W,
    D,
    K: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_D: tl.constexpr,
    SUMS: tl.constexpr,
):
    """Write the gradient of x, and each program's share of those of weight and bias.

    A program serves `tiles` tiles of TILE of the B·H·W positions, and BLOCK_D channels. Its share goes to
    `partial` (programs, k·k + 1, D), float32; the row after the taps is the bias's. Nothing is added
    atomically, so equal inputs give equal gradients to the bit.
    """
    P: tl.constexpr = K // 2
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    index = tl.arange(0, SUMS)[:, None]
    sums = tl.zeros([SUMS, BLOCK_D], tl.float32)
    for tile in range(tiles):
        p = (tl.program_id(0) * tiles + tile) * TILE + tl.arange(0, TILE)
        row, column = p // W % H, p % W
        at = p.to(tl.int64)[:, None] * D + d[None, :]
        inside = (p < positions)[:, None] & (d < D)[None, :]
        value = tl.load(x + at, mask=inside, other=0).to(tl.float32)
        a = _gelu(value)
        grad_a = tl.zeros([TILE, BLOCK_D], tl.float32)
        bias_share = tl.sum(tl.load(grad_y + at, mask=inside, other=0).to(tl.float32), axis=0)
        sums += tl.where(index == K * K, bias_share[None, :], 0.0)
        for i in range(K):  # not unrolled: 49 taps in a row took 50 s to compile
            for j in tl.static_range(K):
                # The output that sees this position through tap (i, j).
                y, z = row + P - i, column + P - j
                seen = inside & ((y >= 0) & (y < H) & (z >= 0) & (z < W))[:, None]
                g = tl.load(grad_y + at + ((P - i) * W + P - j) * D, mask=seen, other=0).to(tl.float32)
                tap = tl.load(weight + (i * K + j) * D + d, mask=d < D, other=0).to(tl.float32)
                grad_a += g * tap[None, :]
                sums += tl.where(index == i * K + j, tl.sum(a * g, axis=0)[None, :], 0.0)
        tl.store(grad_x + at, (grad_a * _slope(value)).to(grad_x.dtype.element_ty), mask=inside)
    share = partial + (tl.program_id(0).to(tl.int64) * (K * K + 1) + index) * D + d[None, :]
    tl.store(share, sums, mask=(index <= K * K) & (d < D)[None, :])
