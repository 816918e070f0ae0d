"""A segmenter takes images of any size that its family can take, and is the same model at each of them."""

import pytest
import torch

from swatbench.models.build import build_model
from swatbench.models.segmenter import load_backbone
from swatbench.models.windows import PaddedBlock
from swatbench.spec.catalog import PAIRS, parts_of
from swatbench.swat.mixing import StructureAwareLinear
from tests.models.segmenters import CLASSES, SMALL, segmenter

ANY_SIZE = ("deit", "swin", "van")


def images(*size):
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))


def classifier(pair, arm):
    return build_model(pair.as_dict(), parts_of(pair, arm), num_classes=3, seed=0, fused_attention=False)


def shapes(model):
    return {name: value.shape for name, value in model.state_dict().items()}


@pytest.fixture(autouse=True)
def one_thread():
    """The models are small; other tests may run beside these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("family", ANY_SIZE)
@pytest.mark.parametrize("arm", ["baseline", "swat"])
@torch.inference_mode()
def test_whole_images_of_any_size_are_taken_and_padded_to_whole_patches(family, arm):
    model = segmenter(SMALL[family], arm).eval()
    for size in ((32, 32), (48, 32), (37, 61), (100, 180)):
        assert model(images(*size)).shape == (1, CLASSES, *size)
    padded = torch.nn.functional.pad(images(37, 61), (0, 3, 0, 3))
    assert torch.equal(model(images(37, 61)), model(padded)[..., :37, :61])


@pytest.mark.parametrize("name", ["deit_ti", "deit_b32", "swin_t", "swin_s", "van_b2"])
@pytest.mark.parametrize("size", [(512, 683), (1024, 768), (33, 500)])
def test_the_catalogue_s_segmenters_take_whole_images(name, size):
    with torch.device("meta"):
        model = segmenter(PAIRS[name], crop_size=512).eval()
        assert model(torch.empty(1, 3, *size)).shape == (1, CLASSES, *size)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("crop", [512, 64])
def test_a_segmenter_s_backbone_is_the_classifier_s_model_but_for_what_follows_from_the_size(name, crop):
    with torch.device("meta"):
        ours = shapes(segmenter(PAIRS[name], crop_size=crop).backbone)
        theirs = shapes(classifier(PAIRS[name], "swat"))
    assert theirs.keys() - ours.keys() == {
        key for key in theirs if key.startswith(("head.", "norm.", "fc_norm."))
    }
    assert ours.keys() <= theirs.keys()
    moved = {key for key in ours if ours[key] != theirs[key]}
    assert all(key == "pos_embed" or "mlp_tokens.fc" in key or "linear_tokens." in key for key in moved)
    assert not moved or PAIRS[name].family not in ("swin", "van")


def test_structure_is_that_of_the_designed_size_at_512():
    with torch.device("meta"):
        swin = segmenter(PAIRS["swin_t"], crop_size=512).backbone
        deit = segmenter(PAIRS["deit_b32"], crop_size=512).backbone
    structured = [
        [isinstance(block.attn.qkv, StructureAwareLinear) for block in layer.blocks] for layer in swin.layers
    ]
    assert structured == [[True, False], [True, False], [True, False] * 3, [True, True]]
    assert [layer.blocks[0].mlp.dwconv.kernel_size[0] for layer in swin.layers] == [5, 5, 5, 3]
    assert {block.window_size for layer in swin.layers for block in layer.blocks} == {(7, 7)}
    assert deit.blocks[0].mlp.dwconv.kernel_size == (3, 3)  # 7 × 7 tokens at 224, 16 × 16 here


@pytest.mark.parametrize("arm", ["baseline", "swat"])
@torch.inference_mode()
def test_a_swin_of_the_classifier_s_size_is_the_classifier(arm):
    pair = SMALL["swin"]
    model, own = segmenter(pair, arm).eval(), classifier(pair, arm).eval()
    load_backbone(model, own.state_dict())
    x = images(224, 224)
    expected = own.forward_intermediates(x, intermediates_only=True)
    found = model.backbone.forward_intermediates(x, intermediates_only=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def shifted_block():
    block = PaddedBlock(8, (14, 14), num_heads=2, window_size=7, shift_size=3, dynamic_mask=True)
    return block.eval()


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (18, 9), (20, 33)])
@torch.inference_mode()
def test_a_shift_brings_no_opposite_edges_together_whatever_is_padded(size):
    H, W = size
    block, x = shifted_block(), torch.randn(1, H, W, 8)
    for row in (0, H // 2, H - 1):
        for column in (0, W // 2, W - 1):
            moved = x.clone()
            moved[0, row, column] += 1.0
            changed = (block._attn(moved) - block._attn(x)).abs().amax(dim=(0, 3)) > 0
            # Windows begin at rows 3 - 7, 3, 10, … and so do those of columns.
            top, left = 7 * ((row - 3) // 7) + 3, 7 * ((column - 3) // 7) + 3
            expected = torch.zeros(H, W, dtype=torch.bool)
            expected[max(0, top) : top + 7, max(0, left) : left + 7] = True
            assert torch.equal(changed, expected), (row, column)


@torch.inference_mode()
def test_an_axis_that_one_window_covers_is_not_shifted():
    block, x = shifted_block(), torch.randn(1, 5, 16, 8)
    moved = x.clone()
    moved[0, 0, 0] += 1.0
    changed = (block._attn(moved) - block._attn(x)).abs().amax(dim=(0, 3)) > 0
    expected = torch.zeros(5, 16, dtype=torch.bool)
    expected[:, :3] = True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize("arm", ["baseline", "swat", "class_token"])
@torch.inference_mode()
def test_a_position_embedding_is_interpolated_alike_when_loaded_and_when_an_image_comes(arm):
    small, large = (segmenter(SMALL["deit"], arm, seed=3, crop_size=crop).eval() for crop in (32, 48))
    load_backbone(large, small.backbone.state_dict())
    assert torch.allclose(small(images(48, 48)), large(images(48, 48)), atol=1e-5)


@pytest.mark.parametrize("family", ["deit", "swin", "van"])
def test_size_changes_nothing_where_any_size_is_taken(family):
    own, given = (segmenter(SMALL[family], size=size).state_dict() for size in (None, (64, 128)))
    assert all(torch.equal(value, given[name]) for name, value in own.items())


@torch.inference_mode()
def test_a_family_of_one_size_is_built_for_it_and_fills_smaller_images_up():
    crops, wide = segmenter(SMALL["mixer"]).eval(), segmenter(SMALL["mixer"], size=(30, 64)).eval()
    assert (crops.maps.size, wide.maps.size) == ((32, 32), (32, 64))
    assert wide(images(30, 64)).shape == (1, CLASSES, 30, 64)
    assert crops(images(20, 31)).shape == (1, CLASSES, 20, 31)
    with pytest.raises(ValueError, match=r"images of 33 × 32 pixels exceed \(32, 32\), the one size"):
        crops(images(33, 32))
