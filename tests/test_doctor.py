"""What `doctor` says of a machine that lacks something."""

from types import SimpleNamespace

from swatbench import doctor


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
