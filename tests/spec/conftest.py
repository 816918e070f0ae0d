"""A small suite, as text and as a value."""

from pathlib import Path

import pytest

from swatbench.spec.cells import Machine, Resolution, Speed
from swatbench.spec.load import parse_suite
from swatbench.spec.suite import Suite

TEXT = """\
name: small
pairs: [deit_mini, mixer_mini]
seeds: [0, 1]
data:
  source: cifar10_subset
recipe:
  epochs: 3
  batch_size: 50
  learning_rate: 2e-3
"""


@pytest.fixture
def text() -> str:
    return TEXT


@pytest.fixture
def suite() -> Suite:
    return parse_suite(TEXT, file="small.yaml")


@pytest.fixture
def machine(speed: Speed) -> Machine:
    return Machine(
        resolution=Resolution(device="cpu", precision="fp32", fused_attention=False, data_digest="a" * 64),
        speed=speed,
        num_classes=10,
    )


@pytest.fixture
def repository() -> Path:
    return Path(__file__).parents[2]
