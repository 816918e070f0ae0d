"""Rows of modules: places, own shares, sums."""

import pytest
import timm
from timm.layers import set_fused_attn, use_fused_attn
from torch import nn

from swatbench.measure.condition import Condition
from swatbench.measure.counts import count
from swatbench.measure.parts import part_of


def counted(build, input_size=(3, 224, 224)):
    condition = Condition(
        batch_size=1, input_size=input_size, num_classes=1000, device="cpu", precision="fp32"
    )
    return count(build, condition, training=False)


@pytest.fixture
def fused():
    before = use_fused_attn()
    set_fused_attn(True)
    yield
    set_fused_attn(before)


@pytest.mark.usefixtures("fused")
def test_equal_blocks_are_one_row():
    found = counted(lambda: timm.create_model("vit_tiny_patch16_224"))
    rows = {(row.place, row.kind): row for row in found.modules}
    qkv = rows["blocks.*.attn.qkv", "Linear"]
    assert (qkv.part, qkv.copies) == ("token mixing", 12)
    assert qkv.params == 12 * (192 * 3 * 192 + 3 * 192)
    assert qkv.macs == 12 * 197 * 192 * 3 * 192
    # What attention does itself, its linear layers not counted.
    attention = rows["blocks.*.attn", "Attention"]
    assert (attention.part, attention.copies) == ("token mixing", 12)
    assert (attention.params, attention.macs) == (0, 12 * 2 * 197**2 * 192)
    # The model itself holds the class token and the position embedding, and multiplies nothing.
    model = rows["", "VisionTransformer"]
    assert (model.copies, model.params, model.macs) == (1, 192 + 197 * 192, 0)
    # Blocks hold nothing and do nothing themselves.
    assert ("blocks.*", "Block") not in rows


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224", "mobilevitv2_050"])
def test_rows_add_up_to_the_model(name):
    found = counted(lambda: timm.create_model(name))
    assert sum(row.params for row in found.modules) == found.params
    assert sum(row.macs for row in found.modules) == found.macs
    assert len({(row.place, row.kind, row.part) for row in found.modules}) == len(found.modules)


def test_rows_stand_in_the_order_of_the_modules():
    def build():
        return nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.Flatten()
        )

    found = counted(build, (3, 2, 2))
    assert [(row.place, row.kind, row.copies, row.params, row.macs) for row in found.modules] == [
        ("*", "Conv2d", 2, 3 * 4 + 4 + 4 * 2 + 2, 4 * (3 * 4 + 4 * 2)),
        ("*", "BatchNorm2d", 1, 4 + 4, 2 * 4 * 4),
    ]


class Shared(nn.Module):
    """One layer in two places, and one parameter in two layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.inside = nn.Sequential(nn.ReLU(), self.first)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.first.weight

    def forward(self, x):
        return self.tied(self.inside(self.first(x)) @ x.mT @ x)


def test_what_is_shared_is_counted_once():
    found = counted(Shared, (1, 3, 4))
    rows = {row.place: row for row in found.modules}
    assert set(rows) == {"", "first", "tied"}
    assert found.params == 16
    assert (rows["first"].params, rows["first"].macs) == (16, 2 * 3 * 4 * 4)
    assert (rows["tied"].params, rows["tied"].macs) == (0, 3 * 4 * 4)
    assert rows[""].macs == 3 * 4 * 3 + 3 * 3 * 4


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("attn_pool.qkv", "head"),
        ("attn_pool", "head"),
        ("blocks.3.attn.qkv", "token mixing"),
        ("attn_pool2.qkv", "token mixing"),
        ("head.fc", "head"),
    ],
)
def test_pooling_by_attention_belongs_to_the_head(path, part):
    assert part_of(path) == part
