"""Device, precision, threads and stopwatch."""

import pytest
import torch

from swatbench.errors import MachineError
from swatbench.measure import machine
from swatbench.measure.latency import Elapsed
from swatbench.measure.machine import (
    DTYPES,
    cpp_compiler,
    resolve_device,
    resolve_precision,
    resolve_switches,
    stopwatch,
    threads,
)
from swatbench.precision import autocast, loss_scaler
from swatbench.spec.execution import Execution


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


@pytest.mark.parametrize("asked", ["fp32", "bf16", "fp16"])
def test_a_precision_that_was_asked_for_is_given(tmp_path, asked):
    assert resolve_precision(asked, "cpu", cpuinfo=tmp_path / "none") == asked


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_autocast(precision, dtype):
    with autocast("cpu", precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert getattr(torch, DTYPES[precision]) == dtype


def test_only_fp16_has_its_loss_scaled_and_its_gradients_come_back_unscaled():
    weight = torch.nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    for precision, factor in (("fp32", 1), ("bf16", 1), ("fp16", 2**16)):
        scaler = loss_scaler("cpu", precision)
        scaler.scale(3 * weight).backward()
        assert weight.grad == 3 * factor
        scaler.unscale_(optimizer)
        assert weight.grad == 3
        optimizer.zero_grad()


def test_no_step_is_taken_where_a_gradient_overflowed():
    weight = torch.nn.Parameter(torch.tensor(1.0))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), loss_scaler("cpu", "fp16")
    scaler.scale(weight * torch.tensor(torch.inf)).backward()
    scaler.step(optimizer)
    scaler.update()
    assert (weight.item(), scaler.get_scale()) == (1.0, 2**15)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_switches_that_are_left_open(device):
    speed = resolve_switches(Execution(), device)
    assert speed.model_dump() == {
        "tf32": False,
        "channels_last": False,
        "compile": "none",
        "fused_optimizer": True,
        "gradient_checkpointing": False,
    }


def test_switches_that_are_asked_for_are_set(monkeypatch):
    monkeypatch.setattr(machine, "cpp_compiler", lambda: "/usr/bin/g++")
    asked = {
        "tf32": True,
        "channels_last": True,
        "compile": "max-autotune",
        "fused_optimizer": False,
        "gradient_checkpointing": True,
    }
    assert resolve_switches(Execution(**asked), "cpu").model_dump() == asked
    off = resolve_switches(Execution(channels_last=False, fused_optimizer=True), "cpu")
    assert (off.channels_last, off.fused_optimizer) == (False, True)


@pytest.mark.parametrize(("device", "missing"), [("cpu", "C\\+\\+ compiler"), ("cuda", "triton")])
def test_compile_without_what_it_needs_is_refused(monkeypatch, device, missing):
    monkeypatch.setattr(machine, "cpp_compiler", lambda: None)
    monkeypatch.setattr(machine, "find_spec", lambda _name: None)
    assert resolve_switches(Execution(), device).compile == "none"
    with pytest.raises(MachineError, match=missing) as refused:
        resolve_switches(Execution(compile="default"), device)
    assert refused.value.where == "execution.compile"


def test_the_compiler_that_cxx_names_is_found(monkeypatch, tmp_path):
    compiler = tmp_path / "my++"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert cpp_compiler() == str(compiler)
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    assert cpp_compiler() is None


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
    assert stopwatch("cpu", clock=lambda: next(ticks))(lambda: made.append(1), 4) == Elapsed(seconds=2.5)
    assert len(made) == 4


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_stopwatch_of_cuda_sees_work_on_the_device():
    matrix = torch.randn(4096, 4096, device="cuda")
    watch = stopwatch("cuda")
    watch(lambda: matrix @ matrix, 3)
    one, ten = watch(lambda: matrix @ matrix, 1), watch(lambda: matrix @ matrix, 10)
    assert 4 < ten.seconds / one.seconds < 25
