"""Tiny folders of images and index masks, of the layout of ADE20K."""

from pathlib import Path

import numpy as np
from PIL import Image

from swatbench.spec.data import Data

CLASSES = 5


def make_mask_folder(root: Path, *, train: int = 7, test: int = 4, first: int = 1) -> Path:
    """Write `images/` and `annotations/` with splits `training` and `validation`.

    Args:
        root: Folder to write to.
        train: Training images; every other is a PNG in a folder of its own, the others are JPEGs.
        test: Test images, likewise.
        first: Index of class 0; below it is no class, which is at the left edge.

    Returns:
        The root.
    """
    for split, count in (("training", train), ("validation", test)):
        for i in range(count):
            rng = np.random.default_rng((count, i))
            h, w = rng.integers(24, 40, 2)
            mask = first + rng.integers(0, CLASSES, (4, 4)).astype(np.uint8)
            mask = np.kron(mask, np.ones((10, 10), np.uint8))[:h, :w]
            mask[:, 0] = 0 if first else 255
            pixels = (40 * mask[:, :, None] + rng.integers(0, 30, (h, w, 3))).clip(0, 255).astype(np.uint8)
            name, end = (f"inner/{i}", "png") if i % 2 else (f"scene_{i}", "jpg")
            for kind, array, ending in (("images", pixels, end), ("annotations", mask, "png")):
                path = root / kind / split / f"{name}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    return root


def mask_data(root: Path, **changes: object) -> Data:
    """What a suite says of such a folder."""
    asked = {"train_images": 7, "test_images": 4, "num_classes": CLASSES, "unlabelled": "zero"}
    asked |= {"train_split": "training", "test_split": "validation"}
    return Data(source="masks", root=str(root), **(asked | changes))
