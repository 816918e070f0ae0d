"""What `doctor` says of a machine that lacks something, and of images that come too slowly."""

import re
from functools import partial
from itertools import repeat
from types import SimpleNamespace

import pytest
import torch

from swatbench import data_speed, doctor
from swatbench.data_speed import DataSpeed, images_per_s
from swatbench.errors import MachineError
from swatbench.processes import ProcessDiedError
from swatbench.spec.suite import Suite


def speed(loading, training, workers=2):
    return DataSpeed(
        pair="deit_mini",
        arm="baseline",
        loading_images_per_s=loading,
        training_images_per_s=training,
        workers=workers,
    )


def suite(**changes):
    asked = {
        "name": "tiny",
        "pairs": ("mixer_mini",),
        "arms": ("baseline",),
        "seeds": (0,),
        "data": {"source": "cifar10_subset"},
        "recipe": {"epochs": 1, "batch_size": 32, "micro_batch_size": 16, "learning_rate": 1e-3},
        "execution": {"device": "cpu", "precision": "fp32"},
    }
    return Suite.model_validate({**asked, **changes})


def test_builds_of_torch_and_torchvision_that_do_not_fit_are_recognised():
    fix = doctor.import_fix(RuntimeError("operator torchvision::nms does not exist"))
    assert "torch and torchvision" in fix


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "package_versions", lambda _names: {})
    finding = doctor._import("timm")
    assert (finding.found, bool(finding.fix)) == ("not installed", True)


def test_little_disk_is_a_finding(tmp_path):
    finding = doctor._disk(tmp_path, usage=lambda _path: SimpleNamespace(free=2**20))
    assert finding.fix is not None
    assert doctor._disk(tmp_path, usage=lambda _path: SimpleNamespace(free=2**40)).fix is None


def test_packages_for_further_sources_may_be_missing(monkeypatch):
    monkeypatch.setattr(doctor, "package_versions", lambda _names: {"datasets": "4.0"})
    finding = doctor._shards()
    assert "datasets 4.0" in finding.found
    assert "webdataset not installed" in finding.found
    assert finding.fix is None


def test_a_missing_compiler_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    finding = doctor._compiler()
    assert ("none" in finding.found, finding.fix) == (True, None)


def test_images_that_come_too_slowly_are_a_finding():
    finding = doctor._data_speed(speed(200, 500))
    assert finding.name == "deit_mini"
    assert "200 images/s are loaded (2 workers), 500 images/s trained (baseline)" in finding.found
    assert "2.5 × too slow" in finding.found
    assert "execution.workers" in str(finding.fix)


def test_images_that_come_fast_enough_are_none():
    finding = doctor._data_speed(speed(500, 200))
    assert finding.found.endswith("loading keeps up")
    assert finding.fix is None


@pytest.mark.parametrize(
    ("loading", "workers", "share"), [(50, 2, 0.5), (400, 2, 0.0), (100, 0, 0.5), (300, 0, 0.25)]
)
def test_without_workers_training_waits_for_every_batch(loading, workers, share):
    measured = speed(loading, 100, workers)
    assert measured.waiting_share == pytest.approx(share)
    assert (f"{100 * share:.0f} % of the time" in measured.verdict) == (workers == 0)


def test_a_rate_leaves_out_what_lay_ready_at_first():
    now_s = 0.0

    def work():
        nonlocal now_s
        for seconds in (0.01, 0.01, *repeat(1.0, 20)):
            now_s += seconds
            yield 64

    assert images_per_s(work(), seconds=4.0, clock=lambda: now_s) == pytest.approx(64)


def test_memory_that_runs_out_in_a_step_is_told(monkeypatch, train_cell):
    def ran_out(*_args, **_kwargs):
        raise MemoryError

    monkeypatch.setattr(data_speed, "training_step", ran_out)
    with pytest.raises(MachineError, match="deit_mini, swat, with a micro-batch of"):
        next(data_speed._training(train_cell, 10))


def test_a_measuring_process_that_dies_is_told(monkeypatch):
    def died(*_args, **_kwargs):
        raise ProcessDiedError(-9)

    monkeypatch.setattr(doctor, "ask", died)
    with pytest.raises(MachineError, match="SIGKILL"):
        doctor.examine_data(suite())


@pytest.fixture
def settings_come_back():
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("settings_come_back")
@pytest.mark.parametrize("switches", [{}, {"channels_last": True, "gradient_checkpointing": True}])
def test_a_suite_of_small_images_is_measured(switches):
    stages = []
    asked = suite(execution={"device": "cpu", "precision": "fp32", **switches})
    (measured,) = data_speed.measure_data_speed(asked, seconds=0.2, on_stage=stages.append)
    assert (measured.pair, measured.arm, measured.workers) == ("mixer_mini", "baseline", 0)
    assert measured.loading_images_per_s > measured.training_images_per_s > 0
    assert stages == ["loading for mixer_mini", "training mixer_mini, baseline"]


def test_the_measuring_process_answers_with_findings(monkeypatch):
    monkeypatch.setattr(doctor, "ask", partial(doctor.ask, timeout_s=300))
    (finding,) = doctor.examine_data(suite(), seconds=0.1)
    assert finding.name == "mixer_mini"
    assert re.search(r"[\d,]+ images/s are loaded", finding.found)
