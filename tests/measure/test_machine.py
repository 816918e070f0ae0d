"""Device, precision, threads and stopwatch."""

import pytest
import torch

from swatbench.errors import MachineError
from swatbench.measure.machine import resolve_device, resolve_precision, stopwatch, threads
from swatbench.precision import autocast


@pytest.mark.parametrize(
    ("asked", "available", "given"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_device(monkeypatch, asked, available, given):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device(asked) == given


def test_missing_cuda_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MachineError, match="CUDA was asked for"):
        resolve_device("cuda")


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 sse", "bf16"),
        ("flags\t\t: fpu amx_bf16", "bf16"),
        ("Features\t: fp asimd bf16 sve", "bf16"),
        ("flags\t\t: fpu avx512f avx2", "fp32"),
        ("Features\t: fp asimd", "fp32"),
        ("model name\t: bf16 avx512_bf16", "fp32"),
    ],
)
def test_automatic_precision_on_a_cpu(tmp_path, line, given):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{line}\ncache size\t: 1 KB\n")
    assert resolve_precision("auto", "cpu", cpuinfo=file) == given


def test_automatic_precision_without_cpuinfo(tmp_path):
    assert resolve_precision("auto", "cpu", cpuinfo=tmp_path / "none") == "fp32"


@pytest.mark.parametrize(("native", "given"), [(True, "bf16"), (False, "fp32")])
def test_automatic_precision_on_cuda(monkeypatch, native, given):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda *, including_emulation: native or including_emulation
    )
    assert resolve_precision("auto", "cuda") == given


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_a_precision_that_was_asked_for_is_given(tmp_path, asked):
    assert resolve_precision(asked, "cpu", cpuinfo=tmp_path / "none") == asked


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast(precision, dtype):
    with autocast("cpu", precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_threads_are_given_back():
    before = torch.get_num_threads()

    def fail():
        with threads(before + 1):
            raise ArithmeticError(torch.get_num_threads())

    with pytest.raises(ArithmeticError, match=str(before + 1)):
        fail()
    assert torch.get_num_threads() == before


def test_the_stopwatch_of_a_cpu_reads_the_clock():
    ticks = iter((1.0, 3.5))
    made = []
    assert stopwatch("cpu", clock=lambda: next(ticks))(lambda: made.append(1), 4) == 2.5
    assert len(made) == 4


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_stopwatch_of_cuda_sees_work_on_the_device():
    matrix = torch.randn(4096, 4096, device="cuda")
    watch = stopwatch("cuda")
    watch(lambda: matrix @ matrix, 3)
    one, ten = watch(lambda: matrix @ matrix, 1), watch(lambda: matrix @ matrix, 10)
    assert 4 < ten / one < 25
