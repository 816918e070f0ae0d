"""What the package depends on has a floor and a cap, and what it imports it depends on."""

import ast
import importlib.util
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ALL = [
    Requirement(text)
    for text in [*PROJECT["dependencies"], *(one for rows in EXTRAS.values() for one in rows)]
]
BROUGHT = {"pyarrow": "datasets", "tqdm": "datasets", "triton": "torch"}
"""Packages that come with one of ours, and are used where that is."""


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("check", ROOT / "scripts" / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("requirement", ALL, ids=str)
def test_every_dependency_has_a_floor_and_a_cap(requirement):
    if requirement.name == PROJECT["name"]:
        return
    signs = {one.operator for one in requirement.specifier}
    assert "==" in signs or signs >= {">=", "<"}, str(requirement)


def test_what_is_imported_is_asked_for():
    asked = {canonicalize_name(one.name) for one in ALL} - {
        canonicalize_name(Requirement(one).name) for one in EXTRAS["dev"]
    }
    owners = packages_distributions()
    for path in (ROOT / "swatbench").rglob("*.py"):
        for name in _imported(path) - sys.stdlib_module_names - {"swatbench"}:
            owner = {canonicalize_name(one) for one in owners.get(name, [name])}
            assert owner & asked or BROUGHT.get(name) in asked, f"{path.name} imports {name}"


def _imported(path):
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    names = {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.partition(".")[0] for name in names}


def test_installed_packages_are_what_they_require_of_one_another(check):
    assert subprocess.run(check.consistency(), check=False, capture_output=True).returncode == 0


ANSWERS = {
    "weak": (
        '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}]}',
        "newer versions mend a",
        "a 1: X-1, mended in 2",
    ),
    "not to be mended": (
        '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": []}]}]}',
        None,
        "mended in no version",
    ),
    "sound": ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', None, "1 packages, 0 known"),
    "no network": ("", None, "skipped: the list of known weaknesses could not be asked (no route)"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_audit_says_what_it_found_or_that_nobody_could_be_asked(check, monkeypatch, capsys, kind):
    answer, wrong, said = ANSWERS[kind]
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda _: object())
    done = SimpleNamespace(stdout=answer, stderr="a\nno route\n", returncode=1)
    monkeypatch.setattr(check.subprocess, "run", lambda *_, **__: done)
    assert check.audit() == wrong
    assert said in capsys.readouterr().out


def test_without_the_package_the_audit_is_skipped_with_a_line(check, monkeypatch, capsys):
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda _: None)
    assert check.audit() is None
    assert "skipped: pip-audit is not installed" in capsys.readouterr().out
