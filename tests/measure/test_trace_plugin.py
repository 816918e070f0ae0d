"""Traces as TensorBoard's profiler plugin answers about them, asked over its own routes."""

import gzip
import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
import warnings
from dataclasses import dataclass
from functools import partial

import pytest

from swatbench.measure.breakdown import break_down
from swatbench.measure.condition import Condition
from swatbench.measure.trace import for_tensorboard, recordings, runs, tensorboard_command, write_traces
from swatbench.models.build import build_model
from swatbench.spec.catalog import PAIRS, parts_of
from tests.measure.traced import STEPS, load_and_compute, on_a_card

DEPTHS = PAIRS["swin_mini"].timm_kwargs["depths"]
START_S = 240
"""What the machine may take to start TensorBoard, which reads every run in a new process."""


def trace_of(arm, folder):
    pair = PAIRS["swin_mini"]
    build = partial(
        build_model, pair.as_dict(), parts_of(pair, arm), num_classes=10, seed=0, fused_attention=False
    )
    condition = Condition(
        batch_size=2,
        input_size=(3, pair.img_size, pair.img_size),
        num_classes=10,
        device="cpu",
        precision="fp32",
    )
    break_down(
        build,
        arm=arm,
        condition=condition,
        protocol="training",
        steps=STEPS,
        trace=folder,
        name=f"{arm}-training",
    )


def read_by_plugin(path):
    """What the plugin makes of one trace, without its server."""
    from torch_tb_profiler.profiler.data import RunProfileData
    from torch_tb_profiler.profiler.run_generator import RunGenerator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls pandas in a way that pandas 4 takes away
        data = RunProfileData.parse("torch", 1, str(path), str(path.parent))
        return RunGenerator("torch", 1, data).generate_run_profile()


def shares_us(overview):
    (step,) = overview["performance"]
    return {"Step": step["value"], **{child["name"]: child["value"] for child in step["children"]}}


@dataclass(frozen=True)
class Plugin:
    """The plugin's routes, as its page asks them."""

    address: str

    def get(self, route, **query):
        url = f"{self.address}/data/plugin/pytorch_profiler/{route}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            body = answer.read()
            packed = answer.headers.get("Content-Encoding") == "gzip"
        return json.loads(gzip.decompress(body) if packed else body)

    def view(self, route, run, **query):
        (worker,) = self.get("workers", run=run, view="Overview")
        (span,) = self.get("spans", run=run, worker=worker)
        return self.get(route, run=run, worker=worker, span=span, **query)

    def operators(self, run):
        return {row["name"]: row for row in self.view("operation/table", run, group_by="Operation")["data"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("traces")
    for arm in ("baseline", "swat"):
        trace_of(arm, made)
    write_traces(load_and_compute(), made, "loader")
    return made


@pytest.fixture(scope="module")
def plugin(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = tensorboard_command(folder / "tensorboard", port=port)
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            asked = Plugin(f"http://127.0.0.1:{port}")
            _wait(asked, server, len(runs(folder)), folder / "log")
            yield asked
        finally:
            server.terminate()


def _wait(asked, server, expected, log):
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            found = asked.get("runs")
        except OSError:
            found = {"runs": []}
        if len(found["runs"]) == expected and not found["loading"]:
            return
        time.sleep(0.3)
    pytest.fail(f"TensorBoard does not answer:\n{log.read_text()}")


def test_every_run_is_found_with_its_views(plugin):
    assert plugin.get("runs")["runs"] == ["baseline-training", "loader", "swat-training"]
    assert plugin.get("views", run="swat-training") == ["Overview", "Operator", "Trace", "Module"]
    assert plugin.get("views", run="loader") == ["Overview", "Operator", "Trace"]
    assert plugin.get("workers", run="swat-training", view="Overview") == ["swatbench"]


def test_time_in_a_data_loader_is_shown_only_by_the_mended_copy(plugin, folder):
    assert shares_us(read_by_plugin(folder / "perfetto" / "loader.json").overview)["DataLoader"] == 0
    shares = shares_us(plugin.view("overview", "loader"))
    assert 4 * 2000 < shares["DataLoader"] < shares["Step"]  # four images of 2 ms in each step


def test_steps_are_those_that_were_profiled(plugin):
    steps = plugin.view("overview", "swat-training")["steps"]
    assert [row[0] for row in steps["rows"]] == [str(1 + step) for step in range(STEPS)]


def test_the_operator_view_holds_operators_alone(plugin):
    baseline, swat = plugin.operators("baseline-training"), plugin.operators("swat-training")
    strangers = [name for name in swat if name.startswith(("module::", "phase::", "nn.Module", "Optimizer"))]
    assert not strangers
    norms = 1 + 2 * sum(DEPTHS) + 1 + 1  # after the patches, two in each block, of the merging, at the end
    assert baseline["aten::native_layer_norm"]["calls"] == norms * STEPS
    assert baseline["aten::conv2d"]["calls"] == STEPS < swat["aten::conv2d"]["calls"]
    pie = plugin.view("operation", "swat-training", group_by="Operation")["host_self_time"]["rows"]
    assert sum(microseconds for _, microseconds in pie) > 0


def test_the_module_view_is_the_tree_of_the_model(plugin):
    (model,) = plugin.view("module", "swat-training")["data"]
    assert (model["name"], model["occurences"]) == ("model", STEPS)
    children = {child["name"]: child for child in model["children"]}
    assert {"patch_embed", "layers", "norm", "head"} <= set(children)
    inside = sum(child["host_duration"] for child in children.values())
    assert 0 < inside < model["host_duration"]


def test_the_diff_view_lines_the_arms_up_by_module(plugin):
    tree = plugin.view(
        "diff", "baseline-training", exp_run="swat-training", exp_worker="swatbench", exp_span="1"
    )
    first, *_ = tree["children"]
    assert first["left"]["name"] == first["right"]["name"] == "nn.Module: model"
    left, right = ({agg["name"]: agg["calls"] for agg in first[side]["aggs"]} for side in ("left", "right"))
    assert left["aten::conv2d"] == 1 < right["aten::conv2d"]
    parts = {child["left"]["name"]: child["right"]["name"] for child in first["children"]}
    assert parts["nn.Module: layers"] == "nn.Module: layers"
    node = plugin.view(
        "diffnode",
        "baseline-training",
        exp_run="swat-training",
        exp_worker="swatbench",
        exp_span="1",
        path="0-0",
    )
    assert node["left"]["name"] == "nn.Module: model"


def test_the_trace_view_holds_the_events(plugin):
    events = plugin.view("trace", "swat-training")["traceEvents"]
    names = {event["name"] for event in events}
    assert {"nn.Module: patch_embed", "phase::backward", "aten::convolution_backward"} <= names


def test_kernels_of_a_card_belong_to_their_operator_and_steps_count_once(tmp_path):
    recorded, copy = tmp_path / "card.pt.trace.json", tmp_path / "mended.pt.trace.json"
    recorded.write_text(json.dumps(on_a_card()))
    for_tensorboard(recorded, copy)
    before, after = read_by_plugin(recorded), read_by_plugin(copy)

    (product,) = after.operation_table_by_name["data"]
    assert (product["name"], product["device_self_duration"]) == ("aten::mm", 400)
    (product,) = before.operation_table_by_name["data"]
    assert product.get("device_self_duration", 0) == 0
    assert shares_us(after.overview)["Kernel"] == 400
    assert len(after.overview["steps"]["rows"]) == 1
    assert len(before.overview["steps"]["rows"]) == 2
    (kernel,) = after.kernel_op_table["data"]["rows"]
    assert {"gemm", "aten::mm"} <= set(kernel)


def test_the_perfetto_file_is_as_recorded(folder):
    recorded = json.loads((folder / "perfetto" / "swat-training.json").read_text())
    kinds = {(event.get("cat"), event["name"]) for event in recorded["traceEvents"]}
    assert {("user_annotation", "module::patch_embed"), ("user_annotation", "phase::forward")} <= kinds
    assert [path.name for path in recordings(folder)] == [
        "baseline-training.json", "loader.json", "swat-training.json",
    ]  # fmt: skip


def test_neither_name_nor_copy_tells_the_machine(folder):
    (copy,) = (folder / "tensorboard" / "swat-training").iterdir()
    assert copy.name.startswith("swatbench.")
    told = json.loads(copy.read_text())
    assert "traceName" not in told
    assert "host_name" not in told
    assert str(folder) not in copy.read_text()
