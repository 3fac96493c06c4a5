"""Loading an architecture by name, with other options."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tli_cli.catalogue import load, load_entry, names, resolve_name
from tli_cli.catalogue.decode import decode
from tli_cli.errors import TliError

SAMPLE = [str(name) for name in names()][::97]


@pytest.mark.parametrize("name", SAMPLE)
def test_every_tensor_stands_in_one_layer_and_agrees_with_its_axes(name):
    architecture = load(name)
    placed = [tensor for layer in architecture.layers for _, tensor in layer.tensors]
    assert sorted(placed) == sorted(architecture.by_name)
    assert architecture.order_from == "catalogue"
    assert architecture.origin == name.replace(":", " ")
    for tensor, axes in architecture.axes.items():
        assert tuple(architecture.size_of(axis.tree) for axis in axes) == architecture.by_name[tensor].shape
    for number, node in enumerate(architecture.graph):
        assert all(0 <= i < number for i in node.inputs)
        assert node.layer < len(architecture.layers)


@pytest.mark.parametrize("name", SAMPLE)
def test_every_tensor_has_an_initial_value(name):
    architecture = load(name)
    assert set(architecture.initial) == set(architecture.by_name)


def test_options_change_sizes_and_what_follows_a_fan():
    plain, other = load("vit_tiny_patch16_224"), load("vit_tiny_patch16_224?num_classes=10&in_chans=12")
    assert other.by_name["head.weight"].shape == (10, 192)
    assert other.by_name["patch_embed.proj.weight"].shape == (192, 12, 16, 16)
    changed = {t.name for t in plain.tensors if t.shape != other.by_name[t.name].shape}
    assert changed == {"head.weight", "head.bias", "patch_embed.proj.weight"}
    (before,), (after,) = (a.initial["patch_embed.proj.bias"] for a in (plain, other))
    assert after[2] == pytest.approx(before[2] / 2)
    assert other.origin == "timm vit_tiny_patch16_224, num_classes=10, in_chans=12"
    assert other.graph == plain.graph
    assert other.layers == plain.layers


def test_keywords_win_over_options_in_the_name():
    assert load("resnet18?num_classes=10", num_classes=5).by_name["fc.weight"].shape == (5, 512)


def test_a_model_without_its_head():
    whole, headless = load("resnet18"), load("resnet18", num_classes=0)
    assert set(whole.by_name) - set(headless.by_name) == {"fc.weight", "fc.bias"}
    assert len(headless.graph) == len(whole.graph) - 1
    assert len(headless.layers) == len(whole.layers) - 1
    assert max(node.layer for node in headless.graph) == len(headless.layers) - 1


def test_models_that_have_no_head_by_default():
    assert "head.weight" not in load("vit_small_patch14_dinov2").by_name
    assert load("vit_small_patch14_dinov2?num_classes=10").by_name["head.weight"].shape == (10, 384)


def test_an_option_that_an_architecture_does_not_take():
    with pytest.raises(TliError, match="does not take in_chans=5"):
        load("torchvision:raft_small?in_chans=5")
    with pytest.raises(TliError, match="without its head"):
        load("torchvision:resnet18?num_classes=0")


@pytest.mark.parametrize("option", [{"num_classes": -3}, {"in_chans": 0}])
def test_numbers_that_no_network_has_are_refused(option):
    with pytest.raises(TliError, match="must be a positive number"):
        load("timm:mobilenetv3_small_050", **option)


def test_an_entry_can_be_loaded_directly():
    entry = resolve_name("resnet18").entry
    assert load_entry(entry, {}) == load("timm:resnet18")


@pytest.mark.parametrize("call", ["names()", "load('timm:resnet50')", "recognise(load('timm:resnet50').tensors)"])
def test_nothing_imports_torch(call):
    code = f"import sys; sys.modules['torch'] = None\nfrom tli_cli.catalogue import *\nassert {call}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_decoding_leaves_what_is_stored_alone():
    from tli_cli.catalogue.store import read_row

    row = read_row(resolve_name("resnet18").entry.structure)
    assert decode(row, "", {"num_classes": 5}) != decode(row, "", {})
    assert decode(row, "", {}) == decode(row, "", {"num_classes": 1000})
