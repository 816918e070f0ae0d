"""Where a step's time goes, on a model whose every call is known."""

import time

import pytest
import torch
from torch import nn
from torch.autograd import DeviceType
from torch.autograd.profiler_util import EventList, FunctionEvent

from swatbench.measure.breakdown import COMPILED, break_down, sum_up
from swatbench.measure.condition import Condition
from swatbench.measure.machine import cpp_compiler
from swatbench.measure.operator_names import operator_of
from swatbench.measure.ranges import module_ranges, profile_steps

C, BLOCKS = 8, 2


class Shift(nn.Module):
    def forward(self, x):
        return x - 0.5


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.Conv2d(C, C, 3, padding=1, groups=C)
        self.act = nn.GELU()
        self.mlp = nn.Conv2d(C, C, 1, groups=2)

    def forward(self, x):
        return x + self.mlp(self.act(self.attn(x)))


class Net(nn.Module):
    """Shift needs no gradient, so autograd gives it the number of the convolution that comes next."""

    def __init__(self):
        super().__init__()
        self.shift = Shift()
        self.patch_embed = nn.Conv2d(3, C, 4, 4)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.head = nn.Linear(C, 3)

    def forward(self, x):
        return self.head(self.blocks(self.patch_embed(self.shift(x))).mean((2, 3)))


def build():
    torch.manual_seed(0)
    return Net()


def condition(**changes):
    asked = {
        "batch_size": 4,
        "input_size": (3, 32, 32),
        "num_classes": 3,
        "device": "cpu",
        "precision": "fp32",
    }
    return Condition(**(asked | changes))


def broken_down(protocol, *, steps=2, **changes):
    return break_down(build, arm="swat", condition=condition(**changes), protocol=protocol, steps=steps)


@pytest.fixture(scope="module")
def training():
    rows = broken_down("training")
    assert {(row.arm, row.protocol) for row in rows} == {("swat", "training")}
    return {(row.path, row.operator, row.phase): row for row in rows}


def calls(rows, phase):
    between = "between operators"
    return {key[:2]: row.calls for key, row in rows.items() if key[2] == phase and key[1] != between}


FORWARD = {
    ("shift", "element-wise"): 1,
    ("patch_embed", "convolution"): 1,
    ("blocks.*.attn", "depthwise convolution"): BLOCKS,
    ("blocks.*.act", "GELU"): BLOCKS,
    ("blocks.*.mlp", "grouped convolution"): BLOCKS,
    ("blocks.*", "element-wise"): BLOCKS,
    ("", "reduction"): 1,
    ("head", "matrix product"): 1,
}


def test_every_operator_of_the_forward_pass_has_its_module(training):
    assert calls(training, "forward") == {**FORWARD, ("", "loss"): 1}


def test_a_backward_node_belongs_to_the_module_that_was_forward(training):
    tensors = 2 * (1 + 2 * BLOCKS + 1)  # a weight and a bias each
    learnt = {key: number for key, number in FORWARD.items() if key[0] != "shift"}
    found = calls(training, "backward")
    assert found.pop(("", "gradient accumulation")) == tensors
    assert found.pop(("", "allocation or fill")) == 1  # the gradient of the loss
    # Of a product with a transposed weight both have a node, and of a loss its softmax and its choice.
    assert found == {**learnt, ("head", "matrix product"): 2, ("", "loss"): 2}


def test_the_optimizer_is_one_row(training):
    assert calls(training, "optimizer") == {("", "optimizer"): 1}


def test_parts_are_those_of_the_places(training):
    assert training["blocks.*.attn", "depthwise convolution", "backward"].part == "token mixing"
    assert training["patch_embed", "convolution", "forward"].part == "tokenization"
    assert training["", "loss", "forward"].part == "other"


def test_python_between_operators_is_its_modules(training):
    assert training["blocks.*", "between operators", "forward"].calls == BLOCKS
    assert training["blocks.*", "between operators", "forward"].self_s > 0


def test_inference_has_one_phase_and_the_longest_comes_first():
    rows = broken_down("inference", steps=3)
    assert {
        (row.path, row.operator): row.calls for row in rows if row.operator != "between operators"
    } == FORWARD
    assert {row.phase for row in rows} == {"forward"}
    assert [row.self_s for row in rows] == sorted((row.self_s for row in rows), reverse=True)


def test_the_rows_sum_to_the_wall_time_of_the_steps():
    found = profile_steps(build(), condition=condition(batch_size=64), protocol="training", steps=3)
    spent = sum_up(found.profiler.events(), device="cpu", compiled=False)
    assert 0.9 < sum(seconds for _, seconds in spent.values()) / found.wall_s < 1.05


def test_autocast_shows_its_casts():
    rows = {(row.path, row.operator): row for row in broken_down("inference", precision="bf16")}
    assert rows["head", "copy"].self_s > 0
    assert rows["head", "matrix product"].calls == 1


def test_the_layout_reaches_the_convolutions():
    found = profile_steps(
        build(), condition=condition(layout="channels_last"), protocol="inference", steps=1
    ).profiler.events()
    (first,) = [event for event in found if event.name == "aten::conv2d"][:1]
    strides = first.structured_input_strides[0]
    assert strides[1] == 1 < strides[3]


@pytest.mark.skipif(cpp_compiler() is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_has_no_modules():
    rows = broken_down("training", mode="compiled")
    inside = [row for row in rows if row.part == COMPILED]
    assert {row.path for row in rows} == {""}
    assert {row.phase for row in inside} == {"forward", "backward"}
    assert {"fused kernels", "depthwise convolution"} <= {row.operator for row in inside}
    assert {row.operator for row in rows if row.part != COMPILED} >= {"loss", "optimizer"}


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="0 steps"):
        broken_down("inference", steps=0)


def test_ranges_change_no_result_and_leave_nothing_behind():
    model = build().eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    expected, own = model(images), model.head.forward
    model.head.forward = own
    with module_ranges(model):
        assert torch.equal(model(images), expected)
        assert all("forward" in vars(module) for module in model.modules())
        # torch's own encoder layers leave their fast path where there is a hook.
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert vars(model.head).pop("forward") is own
    assert not any("forward" in vars(module) for module in model.modules())


def test_ranges_end_where_a_module_fails():
    model = build()
    with pytest.raises(RuntimeError, match="channels"), module_ranges(model):
        model(torch.zeros(1, 5, 32, 32))
    assert "forward" not in vars(model)


def event(name, start_us, end_us, *, sequence_nr=-1, annotation=False, kernels=(), **changes):
    made = FunctionEvent(
        id=start_us, name=name, thread=changes.pop("thread", 1), start_us=start_us, end_us=end_us,
        sequence_nr=sequence_nr, is_user_annotation=annotation, use_device="cuda", **changes,
    )  # fmt: skip
    for kernel, microseconds in kernels:
        made.append_kernel(kernel, 0, microseconds)
    return made


def test_on_cuda_time_is_that_of_kernels_and_backward_runs_in_a_thread_of_its_own():
    node = "autograd::engine::evaluate_function: "
    recorded = [
        event("phase::forward", 0, 100, annotation=True, kernels=[("phase::forward", 900)]),
        event("module::head", 10, 90, annotation=True, kernels=[("module::head", 700)]),
        event("aten::linear", 20, 80, sequence_nr=5),
        event("aten::addmm", 30, 70, sequence_nr=6, kernels=[("gemm", 300), ("split_k", 20)]),
        # CUDA's own calls, which some versions of torch number like the operators around them.
        event("cudaLaunchKernel", 40, 50, kernels=[("gemm", 300), ("split_k", 20)]),
        event("cuLaunchKernelEx", 55, 60, kernels=[("gemm", 300)]),
        event("phase::backward", 100, 200, annotation=True),
        event(f"{node}AddmmBackward0", 110, 190, sequence_nr=6, thread=2),
        event("aten::mm", 120, 180, thread=2, kernels=[("gemm", 500)]),
        event("gemm", 140, 440, device_type=DeviceType.CUDA),
        event("aten::mm", 300, 400, kernels=[("gemm", 1000)]),
    ]
    events = EventList(recorded, use_device="cuda")
    events._build_tree()
    rows = {
        (where.path, where.operator, where.phase): spent
        for where, spent in sum_up(events, device="cuda", compiled=False).items()
        if spent[1]
    }
    assert rows == {
        ("head", "matrix product", "forward"): (1, pytest.approx((300 + 20) / 1e6)),
        ("head", "matrix product", "backward"): (1, pytest.approx(500 / 1e6)),
    }


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_card_the_kernels_have_modules_and_fit_into_the_step():
    rows = broken_down("training", device="cuda", batch_size=64)
    found = {(row.path, row.operator, row.phase) for row in rows}
    assert ("blocks.*.attn", "depthwise convolution", "forward") in found
    assert ("blocks.*.attn", "depthwise convolution", "backward") in found
    asked = condition(device="cuda", batch_size=64)
    steps = profile_steps(build(), condition=asked, protocol="training", steps=3)
    spent = sum_up(steps.profiler.events(), device="cuda", compiled=False)
    assert 0 < sum(seconds for _, seconds in spent.values()) < steps.wall_s


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("aten::linear", "matrix product"),
        ("aten::scaled_dot_product_attention", "attention"),
        ("aten::add_", "element-wise"),
        ("aten::native_layer_norm_backward", "layer norm"),
        ("aten::_softmax_backward_data", "softmax"),
        ("aten::copy_", "copy"),
        ("aten::adaptive_avg_pool2d", "pooling"),
        ("aten::roll", "roll"),
        ("triton_red_fused_native_layer_norm_0", "fused kernels"),
    ],
)
def test_operators_have_plain_words(name, word):
    assert operator_of(name) == word


@pytest.mark.parametrize(
    ("groups", "channels", "word"),
    [
        (1, 6, "convolution"),
        (3, 6, "grouped convolution"),
        (6, 6, "depthwise convolution"),
        (1, 1, "convolution"),
    ],
)
def test_convolutions_are_told_by_their_groups(groups, channels, word):
    shapes = [[2, channels, 9, 9], [12, channels // groups, 3, 3], [12]]
    arguments = [None, None, None, [1, 1], [0, 0], [1, 1]]
    assert operator_of("aten::conv2d", arguments=[*arguments, groups], shapes=[*shapes, [], []]) == word
    whole = [*arguments, False, [0, 0], groups]
    assert operator_of("aten::convolution", arguments=whole, shapes=shapes) == word
    backward = [None, None, None, [12], *arguments[3:], False, [0, 0], groups, [True, True, True]]
    assert (
        operator_of("aten::convolution_backward", arguments=backward, shapes=[[2, 12, 7, 7], *shapes]) == word
    )
    assert operator_of("aten::conv2d") == "convolution"


def test_of_several_steps_the_fastest_is_told():
    slow = iter([0.3, 0.0, 0.2])

    class Waits(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls > 4:  # three to warm up, and one for the profiler itself
                time.sleep(next(slow))
            return self.head(x.mean((2, 3))[:, :1].expand(-1, 4))

    rows = break_down(Waits, arm="a", condition=condition(), protocol="inference", steps=3)
    assert sum(row.self_s for row in rows) < 0.15
    assert sum(row.calls for row in rows if row.operator == "matrix product") == 1


def test_later_patch_embeddings_of_van_merge_tokens():
    class Van(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch_embeds = nn.ModuleList([nn.Conv2d(3, 8, 2, 2), nn.Conv2d(8, 8, 2, 2)])

        def forward(self, x):
            for embed in self.patch_embeds:
                x = embed(x)
            return x.mean((2, 3))

    rows = break_down(Van, arm="a", condition=condition(), protocol="inference", steps=1)
    found = {row.part for row in rows if row.operator == "convolution"}
    assert found == {"tokenization", "merging"}
