"""Deterministic tensors for the parity fixtures: the same numbers on every machine, nothing large to store.

`values(name, shape, loc, scale)` is the tensor that the original code held under the parameter name `name`
when it produced `<variant>.npz`; `image()` is the input batch it was given.
"""

import zlib

import numpy as np


def values(name: str, shape: tuple[int, ...], loc: float, scale: float) -> np.ndarray:
    """float32 array, uniform on [loc - scale, loc + scale), seeded by the CRC-32 of `name`."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    uniform = rng.random(shape, dtype=np.float32)
    return (np.float32(loc) + np.float32(scale) * (np.float32(2) * uniform - np.float32(1))).astype(
        np.float32
    )


def image() -> np.ndarray:
    """The input batch: (2, 3, 224, 224), float32."""
    return values("input", (2, 3, 224, 224), 0.0, 1.7320508)
