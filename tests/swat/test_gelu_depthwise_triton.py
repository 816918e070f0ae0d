"""GELU → depthwise → GELU in Triton against plain torch in float64, forward and backward.

The tests marked `cuda` run on a device where there is one. Everywhere else one test runs them in Triton's
interpreter, in a process of its own: it changes what Triton is when it is imported.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from swatbench.swat import gelu_depthwise_triton
from swatbench.swat.gelu_depthwise_triton import gelu_depthwise_gelu, supported

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
TOLERANCE = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}

on_device = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not (INTERPRETED or torch.cuda.is_available()), reason="needs a CUDA device or Triton's interpreter"
    ),
]
NAMES = ("z", "grad_x", "grad_weight", "grad_bias")


def plain(x, weight, bias):
    padding = weight.shape[-1] // 2
    y = F.conv2d(F.gelu(x).permute(0, 3, 1, 2), weight, bias, padding=padding, groups=len(bias))
    return F.gelu(y).permute(0, 2, 3, 1)


def drawn(shape, k, dtype=torch.float32):
    """x, weight, bias and the gradient of z; a wide x, so that both arms of GELU count."""
    made = torch.Generator().manual_seed(0)
    D = shape[-1]
    x, grad_z = (torch.randn(shape, generator=made).mul(2).to(DEVICE, dtype) for _ in range(2))
    weight = torch.randn(D, 1, k, k, generator=made).to(DEVICE)
    return x, weight, torch.randn(D, generator=made).to(DEVICE), grad_z


def with_gradients(function, x, weight, bias, grad_z):
    inputs = [tensor.detach().clone().requires_grad_() for tensor in (x, weight, bias)]
    z = function(*inputs)
    z.backward(grad_z.to(z.dtype))
    return (z.detach(), *(tensor.grad for tensor in inputs))


def assert_near(found, expected, tolerance):
    for name, a, b in zip(NAMES, found, expected, strict=True):
        assert a.shape == b.shape, name
        error = (a.double() - b.double()).abs().max() / b.double().abs().max()
        assert error < tolerance, f"{name} is {error:.1e} off"


def assert_equals_plain(shape, k, dtype):
    drawing = drawn(shape, k, dtype)
    found = with_gradients(gelu_depthwise_gelu, *drawing)
    assert [tensor.dtype for tensor in found] == [dtype, dtype, torch.float32, torch.float32]
    assert_near(found, with_gradients(plain, *(tensor.double() for tensor in drawing)), TOLERANCE[dtype])


class TestOnDevice:
    pytestmark = on_device

    @pytest.mark.parametrize(
        ("shape", "k"),
        [
            ((2, 4, 4, 16), 3),
            ((1, 7, 5, 70), 3),  # a strip of 7 rows; D beyond one block, by a part of one
            ((5, 3, 2, 3), 3),  # rows and strips beyond the image and the batch
            ((1, 3, 11, 4), 3),  # two tiles of positions, the second nearly empty
            ((1, 5, 3, 4), 5),
            ((2, 2, 3, 4), 7),  # k larger than the image
            ((1, 1, 1, 1), 3),
        ],
    )
    def test_it_is_the_plain_form_in_float32(self, shape, k):
        assert_equals_plain(shape, k, torch.float32)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_it_is_the_plain_form_in_half_the_bits(self, dtype):
        assert_equals_plain((2, 4, 4, 16), 3, dtype)

    def test_gradients_are_equal_to_the_bit_however_many_tiles_a_program_has(self, monkeypatch):
        drawing = drawn((3, 4, 7, 4), 3)  # three tiles
        first = with_gradients(gelu_depthwise_gelu, *drawing)
        assert all(map(torch.equal, first, with_gradients(gelu_depthwise_gelu, *drawing)))
        monkeypatch.setattr(gelu_depthwise_triton, "_PROGRAMS", 1)
        monkeypatch.setattr(gelu_depthwise_triton, "_LEAST_PROGRAMS", 2)
        assert_near(with_gradients(gelu_depthwise_gelu, *drawing), first, 1e-6)

    def test_what_lies_otherwise_in_memory_gives_the_same(self):
        x, weight, bias, _ = drawn((2, 3, 3, 4), 3)
        across = x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        assert not across.is_contiguous()
        everywhere = torch.ones((), device=DEVICE).expand(x.shape)
        found = with_gradients(gelu_depthwise_gelu, across, weight, bias, everywhere)
        assert_near(found, with_gradients(plain, x, weight, bias, everywhere), 1e-5)

    def test_under_autocast_it_gives_what_a_convolution_does(self):
        x, weight, bias, grad_z = drawn((1, 3, 3, 4), 3)
        with torch.autocast(DEVICE, torch.bfloat16):
            found = with_gradients(gelu_depthwise_gelu, x, weight, bias, grad_z)
        assert found[0].dtype == torch.bfloat16
        assert {tensor.dtype for tensor in found[1:]} == {torch.float32}
        assert_near(found, with_gradients(plain, x, weight, bias, grad_z), 2e-2)

    def test_checkpointed_it_gives_the_same_gradients(self):
        drawing = drawn((1, 3, 3, 4), 3)

        def recomputed(*inputs):
            return checkpoint(gelu_depthwise_gelu, *inputs, use_reentrant=False)

        pairs = (with_gradients(form, *drawing) for form in (gelu_depthwise_gelu, recomputed))
        assert all(map(torch.equal, *pairs))

    def test_torch_compile_takes_it_whole(self):
        drawing = drawn((1, 3, 3, 16), 3)

        def chosen(x, weight, bias):
            supported(x, weight)  # it must not break the graph either
            return 2 * gelu_depthwise_gelu(x + 1, weight, bias)

        compiled = torch.compile(chosen, backend="aot_eager", fullgraph=True)
        assert_near(with_gradients(compiled, *drawing), with_gradients(chosen, *drawing), 1e-6)

    def test_torch_finds_nothing_wrong_with_the_operators(self):
        x, weight, bias, grad_z = drawn((1, 2, 2, 4), 3)
        trained = [tensor.requires_grad_() for tensor in (x, weight, bias)]
        kinds = ("test_schema", "test_faketensor", "test_autograd_registration")
        torch.library.opcheck(gelu_depthwise_triton._forward, trained, test_utils=kinds)
        frozen = [tensor.detach() for tensor in (grad_z, *trained)]
        torch.library.opcheck(gelu_depthwise_triton._backward, frozen, test_utils=kinds[:2])

    def test_only_x_is_kept_for_backward(self):
        x, weight, bias, _ = drawn((1, 3, 3, 4), 3)
        kept = []

        def keep(tensor):
            kept.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            gelu_depthwise_gelu(x.requires_grad_(), weight.requires_grad_(), bias)
        assert [tensor.shape for tensor in kept] == [x.shape, weight.shape, bias.shape]

    def test_it_runs_where_no_gradient_is_possible(self):
        x, weight, bias, _ = drawn((1, 3, 3, 4), 3)
        with torch.inference_mode():
            assert torch.allclose(gelu_depthwise_gelu(x, weight, bias), plain(x, weight, bias), atol=1e-5)


@pytest.mark.skipif(INTERPRETED, reason="it starts the interpreter")
def test_in_the_interpreter_it_is_the_plain_form():
    pytest.importorskip("triton")
    pytest.importorskip("numpy")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "cuda", __file__]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.skipif(INTERPRETED, reason="the interpreter does not compile")
@pytest.mark.parametrize("backward", [False, True])
def test_the_kernels_compile_for_a_card_that_is_not_here(backward, tmp_path, monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as compiled_by_triton

    from swatbench.swat import gelu_depthwise_kernels as kernels

    constants = {"K": 3, "ROWS": 4, "STRIPS": 4, "TILE": 32, "BLOCK_D": 64, "SUMS": 16, "BACKWARD": False}
    kernel = kernels.gradients if backward else kernels.convolve
    types = dict.fromkeys(("x", "grad_z", "out", "grad_y", "grad_x"), "*bf16")
    types |= dict.fromkeys(("weight", "bias", "partial"), "*fp32") | dict.fromkeys(constants, "constexpr")
    source = ASTSource(
        fn=kernel,
        signature={name: types.get(name, "i32") for name in kernel.arg_names},
        constexprs={name: constants[name] for name in kernel.arg_names if name in constants},
    )
    target = GPUTarget("cuda", 80, 32)
    assert compiled_by_triton(source, target=target, options={"enable_fp_fusion": True}).asm["cubin"]


def on_card(x, *, is_cuda=True):
    """A stand-in for a tensor on a card that is not here."""
    names = ("dtype", "dim", "numel", "shape", "device")
    return SimpleNamespace(**{name: getattr(x, name) for name in names}, is_cuda=is_cuda)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"is_cuda": False}, False),
        ({"D": 24}, False),
        ({"k": 9}, False),
        ({"k": 4}, False),
        ({"weight_d": 32}, False),
        ({"B": 0}, False),
        ({"dtype": torch.float64}, False),
        ({"dtype": torch.bfloat16}, True),
        ({"dtype": torch.bfloat16, "major": 7}, False),
        ({"major": 7}, True),
        ({"major": 6}, False),
        ({"triton": False}, False),
    ],
)
def test_it_is_used_only_where_the_docstring_says(change, fits, monkeypatch):
    case = {
        "B": 2,
        "D": 16,
        "k": 3,
        "dtype": torch.float32,
        "major": 8,
        "is_cuda": True,
        "triton": True,
    } | change
    monkeypatch.setattr(gelu_depthwise_triton, "_HAS_TRITON", case["triton"])
    card = SimpleNamespace(major=case["major"])
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    x = on_card(torch.empty(case["B"], 4, 4, case["D"], dtype=case["dtype"]), is_cuda=case["is_cuda"])
    weight = torch.empty(case.get("weight_d", case["D"]), 1, case["k"], case["k"])
    assert supported(x, weight) is fits


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [((1, 4, 4), (4, 1, 3, 3), (4,)), ((1, 4, 4, 4), (4, 1, 2, 2), (4,)), ((1, 4, 4, 4), (4, 1, 3, 3), (3,))],
)
def test_shapes_that_do_not_fit_are_told(x, weight, bias):
    with pytest.raises(ValueError, match="odd k"):
        gelu_depthwise_gelu(*map(torch.empty, (x, weight, bias)))


def test_without_triton_both_modules_can_be_imported_and_nothing_is_supported():
    code = """
import sys
sys.modules["triton"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else find(name, *rest)
import torch
from swatbench.swat import gelu_depthwise_kernels
from swatbench.swat.gelu_depthwise_triton import _HAS_TRITON, supported
assert not _HAS_TRITON and not supported(torch.empty(1, 2, 2, 16), torch.empty(16, 1, 3, 3))
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


def test_importing_it_does_not_import_triton():
    code = "import sys, swatbench.swat.gelu_depthwise_triton; assert 'triton' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
