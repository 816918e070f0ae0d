"""Images a second of our loaders and of timm's, side by side in the same rounds.

    python benchmarks/loader_speed.py [--workers 2] [--rounds 12] [--images 600]

One loader runs at a time, over one epoch, in an order drawn anew each round; so a round's ratio is of two
epochs that follow one another. Worker processes stay between rounds, and the first round is not counted.
Both sides decode the same JPEGs with Pillow, draw a resized crop of 224 × 224, a flip and
`rand-m9-mstd0.5-inc1`, and end with normalised float32 batches on the CPU. The last table reads CIFAR-10's
subset from memory with padded crops and flips; timm has no loader of images in memory, and gets them as PIL
images. timm's posterising is replaced by ours on both sides, as newer Pillows refuse what it asks for.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import bootstrap
from timm.data import auto_augment, create_dataset, create_loader
from torchvision.transforms import Compose, RandomCrop

from swatbench.data.loading import make_train_batches
from swatbench.data.seeded import MemoryImages
from swatbench.data.sources import load_dataset
from swatbench.data.transforms import posterize
from swatbench.spec.data import Data
from swatbench.spec.recipe import Augmentation, Recipe
from swatbench.world import ALONE

CPU = torch.device("cpu")
BATCH = 50
POLICY = "rand-m9-mstd0.5-inc1"
Epoch = Callable[[], int]
"""Runs one epoch and returns how many images it gave."""


def main() -> None:
    """Measure both tables and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--images", type=int, default=600)
    asked = parser.parse_args()
    auto_augment.NAME_TO_OP |= {"PosterizeIncreasing": posterize}
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder), asked.images)
        for erasing in (0.0, 0.25):
            loaders = jpeg_loaders(Path(folder), images=asked.images, workers=asked.workers, erasing=erasing)
            title = f"{asked.images} JPEGs of 500 x 375, {asked.workers} workers, erasing {erasing:g}"
            report(title, measure(loaders, rounds=asked.rounds))
    report(
        f"5,000 images in memory, {asked.workers} workers", measure(cifar_loaders(asked.workers), rounds=6)
    )


def write_jpegs(root: Path, images: int) -> None:
    """Write smooth noise, which compresses about as photographs do, in four class folders and two splits."""
    rng = np.random.default_rng(0)
    for split, n in (("train", images), ("validation", 4)):
        for i in range(n):
            coarse = Image.fromarray(rng.integers(0, 256, (47, 63, 3), dtype=np.uint8))
            path = root / split / f"n{i % 4:08d}" / f"{i}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)


def jpeg_loaders(root: Path, *, images: int, workers: int, erasing: float) -> dict[str, Epoch]:
    """Our loader, timm's, and a second copy of timm's."""
    data = Data(
        source="folder", root=str(root), train_images=images, test_images=4, num_classes=4, keep_decoded=False
    )
    augmentation = Augmentation(crop="resized", auto_augment=POLICY, erasing_probability=erasing)
    ours = make_train_batches(
        load_dataset(data),
        recipe=Recipe(epochs=1, batch_size=BATCH, learning_rate=0.1, augmentation=augmentation),
        img_size=224,
        micro_batch_size=BATCH,
        seed=0,
        device=CPU,
        world=ALONE,
        workers=workers,
        stall_s=60.0,
    )

    def timms() -> Epoch:
        dataset = create_dataset("", root=str(root), split="train")
        options = {"auto_augment": POLICY, "interpolation": "random", "re_prob": erasing, "re_mode": "pixel"}
        loader = create_loader(
            dataset, 224, BATCH, is_training=True, device=CPU, num_workers=workers, **options
        )
        return lambda: sum(len(labels) for _, labels in loader)

    epochs: Iterator[int] = iter(range(10**6))
    return {
        "ours": lambda: sum(len(labels) for _, labels in ours(next(epochs))),
        "timm": timms(),
        "timm again": timms(),
    }


def cifar_loaders(workers: int) -> dict[str, Epoch]:
    """Whole batches in memory, and timm's loader of the same images one by one."""
    dataset = load_dataset(Data(source="cifar10_subset"))
    ours = make_train_batches(
        dataset,
        recipe=Recipe(epochs=1, batch_size=BATCH, learning_rate=0.1),
        img_size=32,
        micro_batch_size=BATCH,
        seed=0,
        device=CPU,
        world=ALONE,
        workers=0,
        stall_s=60.0,
    )

    class Memory(MemoryImages):
        transform: Compose

        def __len__(self) -> int:
            return len(dataset.train)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            image, label = super().__getitem__(index)
            return self.transform(image), label

    def timms() -> Epoch:
        images = Memory(dataset.train)
        loader = create_loader(
            images, 32, BATCH, is_training=True, device=CPU, num_workers=workers, color_jitter=(0, 0, 0)
        )
        images.transform.transforms[0] = RandomCrop(32, padding=4)
        return lambda: sum(len(labels) for _, labels in loader)

    epochs: Iterator[int] = iter(range(10**6))
    return {
        "ours": lambda: sum(len(labels) for _, labels in ours(next(epochs))),
        "timm": timms(),
        "timm again": timms(),
    }


def measure(loaders: Mapping[str, Epoch], *, rounds: int) -> dict[str, np.ndarray]:
    """Images a second of every loader, one entry a round after the first."""
    speeds: dict[str, list[float]] = {name: [] for name in loaders}
    names, shuffled = [*loaders], np.random.default_rng(0)
    for _ in range(rounds + 1):
        for name in shuffled.permutation(names).tolist():
            started_s = time.perf_counter()
            images = loaders[name]()
            speeds[name].append(images / (time.perf_counter() - started_s))
    return {name: np.array(found[1:]) for name, found in speeds.items()}


def report(title: str, speeds: Mapping[str, np.ndarray]) -> None:
    """Print images a second, and the median of the rounds' ratios to timm with its 95 % interval."""
    print(f"\n{title}, {len(speeds['ours'])} rounds")
    for name, found in speeds.items():
        ratios = found / speeds["timm"]
        line = f"{name:>12}  {np.median(found):9.1f} images/s"
        if name != "timm":
            low, high = bootstrap((ratios,), np.median, method="percentile", rng=0).confidence_interval
            line += f"  {np.median(ratios):6.3f} of timm's ({low:.3f} to {high:.3f})"
        print(line)


if __name__ == "__main__":
    main()
