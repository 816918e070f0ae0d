"""What a machine decides about a suite before anything is trained, and how it is set up for a cell."""

import os

import torch

from swatbench.data.files import FileDataset
from swatbench.data.further import open_test_set
from swatbench.data.images import Dataset
from swatbench.data.masks import MaskDataset, MemoryMasks
from swatbench.data.sources import load_dataset
from swatbench.data.transforms import check_augmentation
from swatbench.measure.machine import require_modes, resolve_device, resolve_precision, resolve_switches
from swatbench.precision import set_tf32
from swatbench.spec.cells import Machine, Resolution
from swatbench.spec.cost import Cost
from swatbench.spec.execution import Execution, Switch
from swatbench.spec.suite import ProfileSuite, Suite
from swatbench.store.provenance import usable_cores
from swatbench.trackers.open import require_trackers
from swatbench.train.optim import check_recipe
from swatbench.world import World

MOST_WORKERS = 16
"""Processes that decode images for one training process, where the suite leaves their number open."""


def resolve(
    suite: Suite | ProfileSuite, world: World, *, dataset: Dataset | FileDataset | MaskDataset | None = None
) -> Machine:
    """Decide what the suite leaves to the machine, and look at everything that training would fail on.

    Args:
        suite: The suite.
        world: The processes that train together.
        dataset: The suite's dataset; opened here if None.

    Raises:
        DataError: A dataset is missing, incomplete or damaged.
        SuiteError: An optimizer or an augmentation is unknown.
        MachineError: The device that the suite asks for is not here.
    """
    if isinstance(suite, ProfileSuite):
        return resolve_cost(suite.execution, suite.cost, num_classes=suite.num_classes)
    decided = resolve_cost(suite.execution, suite.cost, num_classes=1)
    for pair in suite.pairs:
        recipe = suite.recipe_of(pair)
        check_recipe(recipe)
        check_augmentation(recipe.augmentation)
    require_trackers(suite.execution.trackers)
    dataset = load_dataset(suite.data) if dataset is None else dataset
    if isinstance(dataset, FileDataset):
        for test in suite.data.further_tests:
            open_test_set(test, dataset)
    return decided.model_copy(
        update={
            "resolution": decided.resolution.model_copy(update={"data_digest": dataset.digest}),
            "num_classes": len(dataset.classes),
            "processes": world.size,
            "workers": workers_of(suite, _beside(suite, world), in_memory=lies_in_memory(dataset)),
        }
    )


def resolve_cost(execution: Execution, cost: Cost | None, *, num_classes: int) -> Machine:
    """Decide what is left to the machine where nothing is trained.

    Args:
        execution: Device, precision and attention that are asked for.
        cost: How cost is measured; None where it is not.
        num_classes: Classes of the logits.

    Raises:
        MachineError: The device that is asked for is not here, or cannot make calls as asked.
    """
    device = resolve_device(execution.device)
    require_modes(cost.modes if cost else (), device)
    return Machine(
        resolution=Resolution(
            device=device,
            precision=resolve_precision(execution.precision, device),
            fused_attention=_decided(execution.fused_attention, device == "cuda"),
            fused_swat=True if _decided(execution.fused_swat, device == "cpu") else None,
            data_digest=None,
        ),
        speed=resolve_switches(execution, device),
        num_classes=num_classes,
        accelerator=torch.cuda.get_device_name() if device == "cuda" else None,
    )


def prepare(threads: int, *, deterministic: bool, tf32: bool) -> None:
    """Set torch up for a cell.

    Args:
        threads: CPU threads.
        deterministic: Whether a run shall repeat bit for bit.
        tf32: Whether CUDA may round the factors of float32 products.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.set_num_threads(threads)
    set_tf32(tf32)
    torch.use_deterministic_algorithms(deterministic)
    # Filling fresh memory guards against reading it unwritten, and costs a pass over every tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]


def _decided(switch: Switch, automatic: bool) -> bool:
    return automatic if switch == "auto" else switch


def device_of(resolution: Resolution, world: World) -> torch.device:
    """Where this process computes."""
    if resolution.device == "cuda":
        return torch.device("cuda", world.local_rank)
    return torch.device("cpu")


def lies_in_memory(dataset: Dataset | FileDataset | MaskDataset) -> bool:
    """Whether the images of a dataset lie decoded in memory from the start."""
    split = dataset.train.pairs if isinstance(dataset, MaskDataset) else dataset
    return isinstance(split, Dataset | MemoryMasks)


def workers_of(suite: Suite, beside: int, *, in_memory: bool) -> int:
    """Processes that decode images for one training process.

    Args:
        suite: The suite.
        beside: Training processes that share this machine's cores.
        in_memory: Whether the images lie decoded in memory.
    """
    asked = suite.execution.workers
    if asked != "auto":
        return asked
    if in_memory and all(suite.recipe_of(pair).augmentation.whole_batches for pair in suite.pairs):
        return 0
    return max(1, min(MOST_WORKERS, usable_cores() // beside))


def _beside(suite: Suite, world: World) -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world.size > 1 else suite.execution.jobs
