"""The two roofs of a machine, and what makers state."""

import pytest
import torch

from swatbench.measure import roofline
from swatbench.measure.datasheet import datasheet_flops_per_s
from swatbench.measure.roofline import best_rate, copied_bytes, measure_peaks


class Machine:
    """Calls whose time follows from the size of their work."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.made = []

    def work(self, size):
        return 100.0 * size, lambda: size

    def seconds_of(self, call):
        size = call()
        self.made.append(size)
        return self.seconds(size, self.made.count(size))


def test_the_best_size_counts():
    machine = Machine(lambda size, _: {1: 1.0, 2: 1.0, 4: 4.0}[size])
    assert best_rate((1, 2, 4), machine.work, machine.seconds_of, 60.0) == 200.0 / 1.0
    assert set(machine.made) == {1, 2, 4}


def test_the_first_call_of_a_size_is_not_counted_and_the_best_of_the_rest_is():
    machine = Machine(lambda _, nth: (0.001, 2.0, 0.5, 1.0)[min(nth, 4) - 1])
    assert best_rate((3,), machine.work, machine.seconds_of, 10.0) == 300.0 / 0.5


def test_a_size_that_would_take_longer_than_what_is_left_is_skipped():
    machine = Machine(lambda size, _: float(size))
    assert best_rate((1, 100), machine.work, machine.seconds_of, 10.0) == 100.0
    assert set(machine.made) == {1}


def test_each_roof_is_tried_at_least_once():
    machine = Machine(lambda size, _: float(size))
    assert best_rate((5,), machine.work, machine.seconds_of, 1e-9) == 100.0
    assert machine.made == [5, 5]


def test_the_budget_ends_the_tries():
    machine = Machine(lambda *_: 1.0)
    best_rate((1,), machine.work, machine.seconds_of, 11.0)
    assert len(machine.made) == 11


def test_a_copied_tensor_is_larger_than_any_cache_and_fits_into_memory():
    assert copied_bytes("cpu", 0) == 128 * 2**20
    assert copied_bytes("cpu", 32 * 2**20) == 8 * 32 * 2**20
    assert copied_bytes("cuda", 50 * 2**20) == 512 * 2**20
    assert copied_bytes("cpu", 2**30) == 512 * 2**20


def test_operations_and_bytes_are_counted(monkeypatch):
    # Every sample takes a second, so rates are amounts.
    monkeypatch.setattr(roofline, "_timer", lambda _: lambda call: (call(), 1.0)[1])
    monkeypatch.setitem(roofline.SIDES, "cpu", (8, 16))
    monkeypatch.setattr(roofline, "copied_bytes", lambda *_: 4096)
    peaks = measure_peaks("cpu", "fp32", 1, budget_s=1200.0)
    assert peaks.flops_per_s == 2 * 16**3
    assert peaks.bytes_per_s == 4096 + 4096
    assert peaks.datasheet_flops_per_s is None


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_real_machine_has_plausible_roofs_and_keeps_its_settings(monkeypatch, precision):
    monkeypatch.setitem(roofline.SIDES, "cpu", (64, 128))
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    peaks = measure_peaks("cpu", precision, 1, budget_s=0.1)
    assert 1e7 < peaks.flops_per_s < 1e13
    assert 1e7 < peaks.bytes_per_s < 1e12
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before


def test_fp32_products_are_made_without_tf32(monkeypatch):
    seen = []
    monkeypatch.setattr(roofline, "_best_product", lambda *_: seen.append(_tf32()) or 1.0)
    monkeypatch.setattr(roofline, "_best_copy", lambda *_: 1.0)
    torch.set_float32_matmul_precision("high")
    try:
        measure_peaks("cpu", "fp32", 1)
        assert seen == ["highest"]
        assert _tf32() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def _tf32():
    return torch.get_float32_matmul_precision()


@pytest.mark.parametrize(
    ("name", "precision", "teraflops"),
    [
        ("NVIDIA A100-SXM4-80GB", "bf16", 312),
        ("NVIDIA A100 80GB PCIe", "fp32", 19.5),
        ("NVIDIA H100 80GB HBM3", "bf16", 1979 / 2),
        ("NVIDIA H100 PCIe", "fp16", 1513 / 2),
        ("NVIDIA H200", "fp32", 67),
        ("NVIDIA L40S", "fp32", 91.6),
        ("Tesla V100-SXM2-32GB", "fp16", 125),
        ("Tesla T4", "fp16", 65),
        ("NVIDIA GeForce RTX 3090", "fp32", 35.6),
        ("NVIDIA GeForce RTX 4090", "bf16", 165.2),
    ],
)
def test_what_the_maker_states(name, precision, teraflops):
    assert datasheet_flops_per_s(name, precision) == pytest.approx(teraflops * 1e12)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("Tesla V100-SXM2-32GB", "bf16"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16"),
        ("NVIDIA GeForce RTX 4090 D", "bf16"),
        ("NVIDIA A10G", "bf16"),
        ("Radeon RX 7900", "fp32"),
    ],
)
def test_what_is_not_known_is_not_guessed(name, precision):
    assert datasheet_flops_per_s(name, precision) is None
