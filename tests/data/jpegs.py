"""Small sets of the shape of ImageNet: folders of JPEGs of unequal sizes, the same as shards and parquet.

The pattern of an image depends on its class, so that a model can learn it; noise and size differ from image
to image. Nothing but the arguments decides what is written.
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = {"train": "train", "test": "validation"}


def make_jpeg_folder(root: Path, *, classes: int = 4, train: int = 24, test: int = 8, size: int = 32) -> Path:
    """Write `train/<class>/*.JPEG` and `validation/<class>/*.JPEG`, named as ImageNet names them.

    Args:
        root: Folder to write to.
        classes: Classes, named n00000001 and so on.
        train: Training images over all classes, dealt out in turn.
        test: Test images, likewise.
        size: Shortest side of any image in pixels; the longest is half as long again.

    Returns:
        The root.
    """
    for split, images in (("train", train), ("test", test)):
        for i in range(images):
            label = i % classes
            wnid = f"n{label + 1:08d}"
            name = f"{wnid}_{i}.JPEG" if split == "train" else f"ILSVRC2012_val_{i + 1:08d}.JPEG"
            path = root / SPLITS[split] / wnid / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(label, classes=classes, size=size, seed=(split == "test", i)))
    return root


def jpeg(label: int, *, classes: int, size: int, seed: tuple[int, int] = (0, 0)) -> bytes:
    """One JPEG: stripes whose colour and direction depend on the class, under noise."""
    rng = np.random.default_rng(seed)
    h, w = rng.integers(size, size + size // 2 + 1, 2)
    angle = np.pi * label / classes
    y, x = np.mgrid[:h, :w]
    stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 8 * np.pi / size + rng.uniform(0, 2 * np.pi))
    colour = np.random.default_rng((7, label)).uniform(60, 195, 3)
    pixels = colour + 50 * stripes[:, :, None] + rng.normal(0, 15, (h, w, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def images_of(folder: Path, split: str) -> list[tuple[Path, int]]:
    """Files of a split with their labels, in the order of the numbers in their names: classes in turn."""
    names = sorted(path.name for path in (folder / "train").iterdir())
    files = (folder / SPLITS[split]).glob("*/*.JPEG")
    ordered = sorted(files, key=lambda path: int(path.stem.rsplit("_", 1)[1]))
    return [(path, names.index(path.parent.name)) for path in ordered]


def make_shards(root: Path, folder: Path, *, shards: int = 2) -> Path:
    """Write the images of `make_jpeg_folder` as tar shards of a split, with `_info.json` beside them.

    Returns:
        The root, for the source `wds/<any name>`.
    """
    root.mkdir(parents=True, exist_ok=True)
    splits = {}
    for split, name in SPLITS.items():
        parts = np.array_split(np.arange(len(images := images_of(folder, split))), shards)
        filenames = [f"{name}-{k:04d}.tar" for k in range(shards)]
        for filename, part in zip(filenames, parts, strict=True):
            with tarfile.open(root / filename, "w") as shard:
                for path, label in (images[i] for i in part):
                    add_member(shard, f"{path.stem}.jpg", path.read_bytes())
                    add_member(shard, f"{path.stem}.cls", str(label).encode())
        lengths = [len(part) for part in parts]
        splits[name] = {
            "name": name,
            "num_samples": sum(lengths),
            "filenames": filenames,
            "shard_lengths": lengths,
        }
    (root / "_info.json").write_text(json.dumps({"splits": splits}))
    return root


def add_member(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add one file to an open tar file."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def make_hf(root: Path, folder: Path) -> Path:
    """Write the images of `make_jpeg_folder` as parquet that Hugging Face's datasets opens by its folder.

    Returns:
        The root, for the source `hfds/<root as a relative path>`.
    """
    import datasets

    datasets.disable_progress_bar()
    names = sorted(path.name for path in (folder / "train").iterdir())
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    (root / "data").mkdir(parents=True, exist_ok=True)
    for split, name in SPLITS.items():
        images = images_of(folder, split)
        columns = {
            "image": [{"bytes": path.read_bytes(), "path": path.name} for path, _ in images],
            "label": [label for _, label in images],
        }
        rows = datasets.Dataset.from_dict(columns, features=features)
        rows.to_parquet(str(root / "data" / f"{name}-00000-of-00001.parquet"))
    return root
