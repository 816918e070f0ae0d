"""Every SWAT model works where a timm model works: the same arguments, features, training and files."""

import copy
import json

import pytest
import timm
import torch
from torch import nn

import swatbench  # noqa: F401 (registers the models)
from swatbench.spec.catalog import PAIRS

NAMES = [f"swat_{name}" for name in PAIRS]
SHORT = {
    "swat_deit_ti": {"depth": 2},
    "swat_deit_s": {"depth": 2},
    "swat_deit_b32": {"depth": 2},
    "swat_mixer_ti": {"num_blocks": 2},
    "swat_mixer_s": {"num_blocks": 1},
    "swat_mixer_b32": {"num_blocks": 1},
    "swat_swin_t": {"depths": (1, 2, 1, 2)},
    "swat_swin_s": {"depths": (2, 1, 2, 1)},
    "swat_van_b2": {"depths": (1, 1, 1, 1)},
}
"""Fewer blocks of the same widths; timm's ResMLP takes no other number."""
ONE_OF_EACH = [
    f"swat_{name}" for name in ("deit_mini", "deit_b32", "mixer_mini", "resmlp_s12", "swin_mini", "van_b2")
]
"""A pair of each family, and of DeiT both tokenizers: a compiler follows the same lines in the others."""
FIXED_TOKENS = ("mixer", "resmlp")
"""Families whose token mixing is made for one number of tokens."""


def create(name, **kwargs):
    """A small-depth model at 96 pixels whose every parameter matters, the classifier's too."""
    torch.manual_seed(0)
    model = timm.create_model(name, **{"num_classes": 5, "img_size": 96, **SHORT.get(name, {}), **kwargs})
    if isinstance(head := getattr(model, "head", None), nn.Linear):
        nn.init.normal_(head.weight)  # mixers start with a head of zeros, which would hide everything
    return model.eval()


def images(batch=2, channels=3, size=(96, 96)):
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def one_thread():
    """The models are small; other tests may run beside these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_of_timm_reach_the_model(name):
    model = create(name, num_classes=7, in_chans=4, drop_path_rate=0.3)
    assert model(images(channels=4)).shape == (2, 7)
    rates = [module.drop_prob for module in model.modules() if type(module).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.3)
    assert model.pretrained_cfg["architecture"] == name
    assert model.get_submodule(model.pretrained_cfg["first_conv"]).in_channels == 4
    assert model.get_submodule(model.pretrained_cfg["classifier"]).out_features == 7


@pytest.mark.parametrize("name", NAMES)
def test_features_are_those_of_the_whole_model(name):
    whole = create(name)
    taken = {} if "swin" in name else {"out_indices": (0,)}
    features = create(name, features_only=True, **taken)
    last = features(images())[-1]
    whole_features = whole.forward_intermediates(images(), intermediates_only=True)[0 if taken else -1]
    if last.shape != whole_features.shape:  # timm's Swin gives its features channels last
        last = last.permute(0, 3, 1, 2)
    assert torch.allclose(last, whole_features, atol=1e-5)
    assert features.feature_info.channels()[-1] == whole_features.shape[1]
    assert 96 // features.feature_info.reduction()[-1] == whole_features.shape[-1]


@pytest.mark.parametrize(
    "name", ["swat_deit_mini", "swat_mixer_mini", "swat_resmlp_s12", "swat_swin_mini", "swat_van_b2"]
)
def test_features_can_be_taken_from_a_traced_graph(name):
    listed, traced = (
        create(name, features_only=True, out_indices=(0,), **how) for how in ({}, {"feature_cls": "fx"})
    )
    first, second = listed(images())[0], traced(images())[0]
    if first.ndim != second.ndim:  # the graph of isotropic models gives tokens in a row
        first = first.flatten(2).transpose(1, 2)
    assert torch.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_loaded_as_timm_loads_its_own(name, tmp_path):
    model = create(name)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    arguments = {"num_classes": 5, "img_size": 96, **SHORT.get(name, {})}
    by_overlay = timm.create_model(
        name,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(tmp_path / "weights.pth"), "num_classes": 5},
        **arguments,
    )
    by_path = timm.create_model(name, checkpoint_path=str(tmp_path / "weights.pth"), **arguments)
    for back in (by_overlay, by_path):
        assert torch.equal(back.eval()(images()), model(images()))


@pytest.mark.parametrize("name", NAMES)
def test_the_classifier_can_be_replaced_and_removed(name):
    model = create(name)
    model.reset_classifier(3)
    assert model(images()).shape == (2, 3)
    model.reset_classifier(0)
    assert model(images()).shape == (2, model.num_features)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_the_same_and_every_gradient_is_finite(name, dtype):
    model = create(name)
    exact = model(images())
    with torch.autocast("cpu", dtype):
        logits = model(images())
        loss = logits.float().square().mean()
    assert logits.dtype == dtype
    assert torch.nn.functional.cosine_similarity(logits.float(), exact).min() > 0.99
    loss.backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_computes_the_same(name):
    model = create(name)
    expected = model(images())
    model = model.to(memory_format=torch.channels_last)
    assert torch.allclose(model(images().to(memory_format=torch.channels_last)), expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_checkpointing_computes_the_same_gradients(name):
    plain, again = create(name).train(), create(name).train()
    again.set_grad_checkpointing(True)
    for model in (plain, again):
        torch.manual_seed(2)  # drop path draws alike
        model(images()).square().mean().backward()
    for (key, value), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert torch.allclose(value.grad, other.grad, atol=1e-5), key


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_every_value(name):
    first, second = create(name).state_dict(), create(name).state_dict()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("name", NAMES)
def test_models_are_built_without_memory_on_the_meta_device(name):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=5)
    assert all(value.is_meta for value in model.parameters())
    shapes = {key: value.shape for key, value in timm.create_model(name, num_classes=5).state_dict().items()}
    assert {key: value.shape for key, value in model.state_dict().items()} == shapes


@pytest.mark.parametrize("name", NAMES)
def test_a_model_saved_for_the_hub_comes_back_whole(name, tmp_path):
    model = create(name, in_chans=1)
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architecture"] == name
    assert (tmp_path / "model.safetensors").exists()
    back = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(back(images(channels=1)), model(images(channels=1)))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_whole_model_compiles_to_one_graph(name):
    model = create(name)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(images()), model(images()), atol=1e-5)
    torch.compiler.reset()


@pytest.mark.parametrize("name", [name for name in NAMES if "swin" not in name])
def test_a_model_is_exported_with_any_batch(name):
    model = create(name)
    batch = torch.export.Dim("B")
    program = torch.export.export(model, (images(3),), dynamic_shapes=({0: batch},))
    for size in (1, 2, 5):
        assert torch.allclose(program.module()(images(size)), model(images(size)), atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if not any(kind in name for kind in FIXED_TOKENS)])
@pytest.mark.parametrize("size", [(128, 128), (64, 160)])
@pytest.mark.filterwarnings("ignore:torch.searchsorted", "ignore:Using a non-tuple sequence")  # timm's own
def test_the_input_size_can_be_changed_after_training(name, size):
    model = create(name)
    weights = copy.deepcopy(model.state_dict())
    if hasattr(model, "set_input_size"):
        model.set_input_size(img_size=size)
    assert model(images(size=size)).shape == (2, 5)
    kept = model.state_dict()
    position = {key for key in kept if "pos_embed" in key and "proj" not in key}
    tables = {key for key in kept if "relative_position" in key}
    assert all(torch.equal(kept[key], weights[key]) for key in kept.keys() - position - tables)


@pytest.mark.parametrize("name", [name for name in NAMES if "swin" in name])
def test_a_swin_built_for_any_size_takes_any_size(name):
    # Large enough for more than one window everywhere, since timm shifts by the size that it builds for.
    dynamic, other = create(name, img_size=448, dynamic_img_size=True), create(name, img_size=(480, 512))
    assert torch.allclose(dynamic(images(1, size=(480, 512))), other(images(1, size=(480, 512))), atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if "deit" in name])
def test_a_model_built_for_any_size_takes_any_size(name):
    fixed, dynamic = create(name), create(name, dynamic_img_size=True)
    assert torch.allclose(dynamic(images()), fixed(images()), atol=1e-5)
    for size in ((64, 128), (128, 64)):
        other = create(name, img_size=size)
        other.load_state_dict({**fixed.state_dict(), **_positions(other, fixed)})
        assert torch.allclose(dynamic(images(size=size)), other(images(size=size)), atol=1e-4), size


def _positions(model, fixed):
    """The fixed model's position embedding, fitted to another model's grid."""
    fitted = copy.deepcopy(fixed)
    fitted.set_input_size(img_size=model.patch_embed.img_size)
    return {"pos_embed": fitted.pos_embed}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [128, 512, (160, 224)])
def test_a_model_can_be_built_for_another_size_and_keeps_its_structure(name, size):
    with torch.device("meta"):
        native, other = (timm.create_model(name, **kwargs) for kwargs in ({}, {"img_size": size}))
        height, width = size if isinstance(size, tuple) else (size, size)
        assert other(torch.empty(1, 3, height, width)).shape == (1, native.num_classes)
    ours, theirs = (
        {key: value.shape for key, value in model.named_parameters()} for model in (native, other)
    )
    assert ours.keys() == theirs.keys()
    moved = {key for key in ours if ours[key] != theirs[key]}
    # What is made for one number of tokens, and nothing else.
    assert all(
        key == "pos_embed" or "mlp_tokens.fc" in key or "linear_tokens." in key or "relative_position" in key
        for key in moved
    ), moved
