"""Memory against models of known size, its parts against arithmetic, and what is left when it runs out."""

import json
import multiprocessing
import resource
from functools import partial
from pathlib import Path

import psutil
import pytest
import timm
import torch
from torch import nn

from swatbench.errors import MachineError, ModelError
from swatbench.measure import memory, snapshot
from swatbench.measure.apart import run_apart
from swatbench.measure.condition import Condition
from swatbench.measure.memory import measure_memory
from swatbench.measure.snapshot import held_tensors

MIB = 2**20
SLACK = MIB
"""Small blocks of the heap, whose pages come and go."""
FLOAT_BYTES = 4


class Holding(nn.Module):
    """Holds one block of memory while it computes."""

    def __init__(self, mib):
        super().__init__()
        self.mib = mib
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        block = torch.ones(self.mib * MIB // FLOAT_BYTES)
        return x.flatten(1)[:, :2] * self.weight * block[-1]


class Weighing(nn.Module):
    """Has one parameter of a given size, which is used without any activation of that size."""

    def __init__(self, mib):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(mib * MIB // FLOAT_BYTES))

    def forward(self, x):
        return x.flatten(1)[:, :2] * self.weight.sum()


class Mlp(nn.Sequential):
    """Linear maps without bias between which a sigmoid keeps its output, and a buffer."""

    def __init__(self, inputs, width, classes):
        first, last = nn.Linear(inputs, width, bias=False), nn.Linear(width, classes, bias=False)
        super().__init__(nn.Flatten(), first, nn.Sigmoid(), last)
        self.register_buffer("seen", torch.zeros(5, dtype=torch.int64))


def wasteful():
    torch.ones(64 * MIB // FLOAT_BYTES)
    return Holding(1)


def measured(build, *, protocol="inference", batch=2, size=8, snapshot=None, start=None, **changes):
    asked = {"device": "cpu", "precision": "fp32", "num_classes": 2} | changes
    condition = Condition(batch_size=batch, input_size=(3, size, size), **asked)
    return measure_memory(build, condition=condition, protocol=protocol, snapshot=snapshot, start=start)


def vit(width, heads=2):
    return partial(
        timm.create_model,
        "deit_tiny_patch16_224",
        img_size=32,
        patch_size=4,
        embed_dim=width,
        depth=2,
        num_heads=heads,
        num_classes=2,
    )


def test_a_block_held_during_a_call_is_seen_and_is_no_part_of_what_is_held_between_calls():
    small, large = measured(partial(Holding, 8)), measured(partial(Holding, 72))
    assert large.peak_bytes - small.peak_bytes == pytest.approx(64 * MIB, abs=SLACK)
    assert small.peak_bytes == pytest.approx(8 * MIB, abs=SLACK)
    assert large.working_bytes == pytest.approx(72 * MIB, abs=SLACK)


def test_weights_are_held_once_in_inference_and_four_times_in_training():
    build = partial(Weighing, 48)
    forward, step = measured(build), measured(build, protocol="training")
    assert forward.peak_bytes == pytest.approx(48 * MIB, abs=SLACK)
    assert forward.working_bytes < SLACK
    assert step.peak_bytes == pytest.approx(4 * 48 * MIB, abs=SLACK)
    # Between steps weights and two moments are held; gradients come and go.
    assert step.working_bytes == pytest.approx(48 * MIB, abs=SLACK)


def test_what_building_used_for_a_while_is_not_counted():
    assert measured(wasteful).peak_bytes <= MIB + SLACK


def test_parts_are_exact_and_the_peak_is_what_is_there_at_once():
    inputs, width, classes, batch = 3 * 8 * 8, 4096, 10, 128
    build = partial(Mlp, inputs, width, classes)
    found = measured(build, protocol="training", batch=batch, num_classes=classes)
    params = inputs * width + width * classes
    hidden = batch * width * FLOAT_BYTES
    assert found.weights_bytes == params * FLOAT_BYTES + 5 * 8
    assert found.gradients_bytes == params * FLOAT_BYTES
    # Two moments, and one float32 that counts steps for each of the two weights.
    assert found.optimizer_bytes == 2 * params * FLOAT_BYTES + 2 * FLOAT_BYTES
    # The sigmoid's output once, though the last linear map keeps it too, and of the loss the log-softmax
    # and one number, the sum of class weights.
    assert found.saved_bytes == hidden + batch * classes * FLOAT_BYTES + FLOAT_BYTES
    held = found.weights_bytes + found.optimizer_bytes
    assert found.peak_bytes >= held + max(found.gradients_bytes, found.saved_bytes) - SLACK
    # In the backward pass the gradients of both of the sigmoid's ends are there for a moment.
    assert found.peak_bytes <= held + found.gradients_bytes + found.saved_bytes + 2 * hidden + SLACK
    assert found.peak_bytes - found.working_bytes == pytest.approx(held, abs=SLACK)


def test_copies_of_weights_in_autocast_s_type_are_no_activations():
    inputs, width, classes, batch = 3 * 8 * 8, 512, 10, 2
    build = partial(Mlp, inputs, width, classes)
    found = measured(build, protocol="training", batch=batch, num_classes=classes, precision="bf16")
    # The images' copy and the sigmoid's output in two bytes; of the loss, which is float32, as ever.
    assert found.saved_bytes == batch * (inputs + width) * 2 + batch * classes * FLOAT_BYTES + FLOAT_BYTES


class Particular(nn.Conv2d):
    """Takes images of one layout alone, and has a logit for each of four pixels."""

    def __init__(self):
        super().__init__(3, 1, 3)

    def forward(self, x):
        if not x.is_contiguous(memory_format=torch.channels_last):
            raise ModelError("These images lie otherwise.")
        return super().forward(x).flatten(1)


def test_images_lie_in_the_condition_s_layout_throughout():
    asked = {"protocol": "training", "size": 4, "num_classes": 4}
    assert measured(Particular, layout="channels_last", **asked).weights_bytes == (27 + 1) * FLOAT_BYTES
    with pytest.raises(ModelError, match="lie otherwise"):
        measured(Particular, **asked)


def test_a_slow_machine_has_half_an_hour(monkeypatch):
    monkeypatch.setattr(memory, "run_apart", lambda _call, *, timeout_s, **_: timeout_s)
    assert measured(Mlp) == 1800


def test_inference_keeps_nothing_and_a_cpu_reserves_nothing():
    found = measured(partial(Mlp, 192, 8, 2))
    assert (found.gradients_bytes, found.optimizer_bytes, found.saved_bytes) == (None, None, None)
    assert found.reserved_bytes is None


@pytest.mark.parametrize("protocol", ["inference", "training"])
def test_more_images_and_wider_models_take_more_and_twice_the_same_takes_the_same(protocol):
    small = {"batch": 32, "size": 32, "protocol": protocol}
    base = measured(vit(64), **small).peak_bytes
    assert measured(vit(64), **small).peak_bytes == pytest.approx(base, rel=0.01, abs=SLACK / 2)
    assert measured(vit(64), **small | {"batch": 96}).peak_bytes > 1.5 * base
    assert measured(vit(192), **small).peak_bytes > 1.5 * base


def peak_in_a_fork(build, _say):
    return measured(build, start=multiprocessing.get_context("fork")).peak_bytes


def test_a_fork_of_a_process_that_holds_much_already_measures_the_same():
    assert run_apart(partial(peak_in_a_fork, partial(Holding, 8)), what="fork") == pytest.approx(
        8 * MIB, abs=SLACK
    )


def tell_threads():
    raise ModelError(f"{torch.get_num_threads()} threads", where="here", fix="No way.")


def test_threads_reach_the_process_and_errors_of_a_build_come_back_whole():
    with pytest.raises(ModelError, match="3 threads") as caught:
        measured(tell_threads, threads=3)
    assert (caught.value.where, caught.value.fix) == ("here", "No way.")


class Greedy(nn.Module):
    """Wants more than any machine has, while it holds a block."""

    def forward(self, x):
        block = torch.ones(3, MIB)
        return torch.empty(2**58) + x + block.sum()


def test_memory_that_runs_out_leaves_a_file_that_the_error_names(tmp_path):
    folder = tmp_path / "cell"
    with pytest.raises(MachineError, match=r"Memory ran out.*memory in inference") as caught:
        measured(Greedy, snapshot=folder)
    file = folder / "memory-snapshot.json"
    assert str(file) in caught.value.fix
    assert "--batch" in caught.value.fix
    found = json.loads(file.read_text())
    assert found["resident_bytes"] > 3 * MIB * FLOAT_BYTES
    assert 0 < found["limit_bytes"] <= psutil.virtual_memory().total
    row = {"shape": [3, MIB], "dtype": "float32", "bytes": 3 * MIB * FLOAT_BYTES, "count": 1}
    assert found["tensors"][0] == row


def test_without_a_folder_memory_that_runs_out_is_told_alone():
    with pytest.raises(MachineError, match="Memory ran out") as caught:
        measured(Greedy)
    assert caught.value.fix == "Lower `cost.batch_size` (--batch), or free memory."


def test_a_snapshot_that_cannot_be_written_hides_nothing(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(MachineError, match="Memory ran out") as caught:
        measured(Greedy, snapshot=occupied)
    assert "could not be written" in caught.value.fix


def test_tensors_of_one_shape_are_one_row_and_views_are_no_further_tensors():
    kept = [torch.zeros(MIB, 7) for _ in range(2)]
    views = [tensor[:3] for tensor in kept]
    rows = held_tensors()
    assert {"shape": [MIB, 7], "dtype": "float32", "bytes": MIB * 7 * FLOAT_BYTES, "count": 2} in rows
    assert len(views) == 2
    assert not [row for row in rows if row["shape"] == [3, 7]]
    assert len(held_tensors(1)) == 1


def test_a_limit_of_the_process_is_told(monkeypatch):
    limits = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 5 * MIB}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits[which], resource.RLIM_INFINITY))
    assert snapshot._limit_bytes() == 5 * MIB


def test_where_the_peak_cannot_be_reset_the_lifetime_peak_is_read(monkeypatch):
    monkeypatch.setattr(memory, "_CLEAR_REFS", Path("/nowhere/at/all"))
    assert memory.reset_peak("cpu")() >= psutil.Process().memory_info().rss - MIB


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.cuda
@cuda
@pytest.mark.parametrize("mode", ["eager", "cuda_graph"])
def test_cuda_counts_what_torch_hands_out(mode):
    build = partial(Weighing, 24)
    forward = measured(build, device="cuda", mode=mode)
    step = measured(build, device="cuda", mode=mode, protocol="training")
    assert forward.peak_bytes == pytest.approx(24 * MIB, abs=SLACK)
    assert step.peak_bytes == pytest.approx(4 * 24 * MIB, abs=SLACK)
    assert step.reserved_bytes >= step.peak_bytes
    assert step.optimizer_bytes == 2 * 24 * MIB + FLOAT_BYTES


class GreedyOnCuda(nn.Module):
    """Wants more than any card has, while it holds a block."""

    def forward(self, x):
        block = torch.ones(3, MIB, device=x.device)
        return torch.empty(2**46, device=x.device) + x + block.sum()


@pytest.mark.cuda
@cuda
def test_cuda_leaves_torch_s_own_snapshot(tmp_path):
    with pytest.raises(MachineError, match="Memory ran out") as caught:
        measured(GreedyOnCuda, device="cuda", snapshot=tmp_path)
    assert (tmp_path / "memory-snapshot.pickle").stat().st_size > 0
    assert "memory-snapshot.pickle" in caught.value.fix
