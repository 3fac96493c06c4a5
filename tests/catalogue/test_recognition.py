"""Recognising checkpoints, and naming what comes nearest."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tli_cli.architecture import TensorSpec
from tli_cli.catalogue import load, names, nearest, recognise
from tli_cli.checkpoints import open_checkpoint
from tli_cli.references import resolve

SMALL = ["resnet18", "vit_tiny_patch16_224", "convnext_atto", "mobilenetv3_small_050", "swin_tiny_patch4_window7_224"]


def shuffled(tensors, seed=0):
    mixed = list(tensors)
    random.Random(seed).shuffle(mixed)
    return mixed


@pytest.mark.parametrize("save", ["torch", "safetensors"])
@pytest.mark.parametrize("name", SMALL)
def test_a_saved_checkpoint_is_recognised_and_gets_its_order_back(name, save, tmp_path):
    architecture = load(f"timm:{name}", num_classes=37)
    state = {t.name: torch.zeros(t.shape, dtype=getattr(torch, t.dtype)) for t in architecture.tensors}
    path = tmp_path / ("model.pt" if save == "torch" else "model.safetensors")
    torch.save(state, path) if save == "torch" else save_file(state, path)
    with open_checkpoint(path) as checkpoint:
        found = recognise(checkpoint.tensors)
    assert found is not None
    assert found.entry.name == name
    assert found.options["num_classes"] == 37
    assert found.architecture.order_from == "recognised"
    assert found.architecture.layers == architecture.layers
    assert found.architecture.graph == architecture.graph
    assert [t.name for t in found.architecture.tensors] == [t.name for t in architecture.tensors]
    assert str(found) == f"timm {name}, num_classes=37"


@pytest.mark.parametrize("name", [str(n) for n in names()][5::73])
def test_names_and_shapes_in_any_order_are_enough(name):
    architecture = load(name)
    found = recognise(shuffled(architecture.tensors))
    assert found is not None
    assert name == f"{found.entry.library}:{found.entry.name}" or name in found.others
    assert set(found.architecture.by_name) == set(architecture.by_name)


def test_input_channels_precision_and_prefix_do_not_matter():
    changed = load("resnet18", in_chans=1, num_classes=5)
    tensors = [replace(t, name=f"model.backbone.{t.name}", dtype="bfloat16") for t in changed.tensors]
    found = recognise(shuffled(tensors))
    assert found is not None
    assert (found.prefix, found.options) == ("model.backbone.", {"num_classes": 5, "in_chans": 1})
    assert found.architecture.by_name["model.backbone.conv1.weight"] == replace(
        changed.by_name["conv1.weight"], name="model.backbone.conv1.weight", dtype="bfloat16"
    )
    assert found.architecture.layers[0].path == "model.backbone.conv1"


def test_a_checkpoint_without_its_head():
    found = recognise(load("resnet18", num_classes=0).tensors)
    assert found is not None
    assert found.entry.name == "resnet18"
    assert found.options["num_classes"] == 0
    assert found.architecture == replace(
        load("resnet18", num_classes=0), order_from="recognised", origin=found.architecture.origin
    )


@pytest.mark.parametrize("name", ["levit_128s", "repvit_m0_9"])
def test_a_checkpoint_without_a_head_of_several_layers(name):
    found = recognise(load(name, num_classes=0).tensors)
    assert found is not None
    assert (found.entry.name, found.options["num_classes"]) == (name, 0)
    assert found.extra == found.missing == ()


@pytest.mark.parametrize("head", ["classifier.1", "my.new_head", "projection"])
def test_a_head_under_another_name_stands_at_the_end(head):
    tensors = [replace(t, name=t.name.replace("fc.", f"{head}.")) for t in load("resnet18").tensors]
    found = recognise(shuffled(tensors))
    assert found is not None
    assert found.entry.name == "resnet18"
    assert sorted(found.extra) == [f"{head}.bias", f"{head}.weight"]
    assert found.architecture.layers[-1].tensors == (("weight", f"{head}.weight"), ("bias", f"{head}.bias"))
    assert set(found.architecture.by_name) == {t.name for t in tensors}


def test_a_wrapper_with_a_head_outside():
    body = [replace(t, name=f"net.{t.name}") for t in load("resnet18", num_classes=0).tensors]
    found = recognise([*body, TensorSpec("out.weight", (4, 512)), TensorSpec("out.bias", (4,))])
    assert found is not None
    assert found.prefix == "net."
    assert found.extra == ("out.weight", "out.bias")


def test_another_image_size_is_recognised_with_its_own_shapes():
    def shape(tensor):
        return (1, 577, 192) if tensor.name == "pos_embed" else tensor.shape

    tensors = [replace(t, shape=shape(t)) for t in load("vit_tiny_patch16_224").tensors]
    found = recognise(tensors)
    assert found is not None
    assert found.architecture.by_name["pos_embed"].shape == (1, 577, 192)
    architecture = found.architecture
    for name, axes in architecture.axes.items():
        assert tuple(architecture.size_of(axis.tree) for axis in axes) == architecture.by_name[name].shape


def test_buffers_that_old_versions_lack_do_not_matter():
    tensors = [t for t in load("resnet18").tensors if not t.name.endswith("num_batches_tracked")]
    found = recognise(tensors)
    assert found is not None
    assert found.entry.name == "resnet18"
    assert set(found.architecture.by_name) == {t.name for t in tensors}
    assert len(found.missing) == 20


def test_names_that_share_a_structure_are_listed():
    found = recognise(load("torchvision:resnet18").tensors)
    assert found is not None
    assert str(found.entry) == "timm resnet18"
    assert "torchvision:resnet18" in found.others


@pytest.mark.parametrize(
    "tensors",
    [
        [],
        [TensorSpec("fc.weight", (10, 20))],
        [TensorSpec("a.b.c", ()), TensorSpec("a.b.d", (0,))],
        [replace(t, shape=(7, *t.shape[1:])) for t in load("resnet18").tensors],
        load("resnet18").tensors[:-20],
    ],
)
def test_what_is_no_entry_is_not_recognised(tensors):
    assert recognise(tensors) is None


def test_one_block_fewer_is_named():
    tensors = [t for t in load("convnext_tiny").tensors if not t.name.startswith("stages.2.blocks.8.")]
    near = nearest(tensors)
    assert near is not None
    assert near.entry.name == "convnext_tiny"
    assert near.differences == ("1 fewer in stages.2.blocks (8 instead of 9)",)


def test_another_width_is_named():
    def wider(shape):
        return tuple(size * 7 // 8 if size % 192 == 0 else size for size in shape)

    near = nearest([replace(t, shape=wider(t.shape)) for t in load("vit_tiny_patch16_224").tensors])
    assert near is not None
    assert near.entry.name.startswith("vit_tiny")
    assert "168 instead of 192" in str(near)


def test_nothing_is_near_to_nothing():
    assert nearest([]) is None
    assert nearest([TensorSpec("never.seen.before", (3, 5, 7))]) is None


@pytest.mark.parametrize(("module", "name"), [("layer4.2", "layer4.3"), ("layer1.2", "layer1.3")])
def test_a_block_more_is_another_network(module: str, name: str) -> None:
    tensors = load("timm:resnet50", num_classes=37).tensors
    more = [replace(t, name=t.name.replace(module, name)) for t in tensors if t.name.startswith(f"{module}.")]
    assert recognise([*tensors, *more]) is None
    near = nearest([*tensors, *more])
    assert near is not None and str(near) == f"nearest to timm resnet50: 1 more in {module[:-2]} (4 instead of 3)"


def test_a_file_that_is_nearly_known_is_told_of(tmp_path: Path) -> None:
    tensors = [t for t in load("timm:resnet18").tensors if not t.name.startswith("layer3.1.")]
    torch.save({t.name: torch.zeros(t.shape) for t in tensors}, tmp_path / "less.pt")
    doubts = resolve(str(tmp_path / "less.pt")).doubts
    assert any("nearest to timm resnet18: 1 fewer in layer3 (1 instead of 2)" in doubt for doubt in doubts)
