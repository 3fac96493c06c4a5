"""A sample of the catalogue, rebuilt from the installed libraries and compared."""

from __future__ import annotations

import json
import re

import pytest
import torch

from catalogue_builder.survey import retraced, survey
from tli_cli.catalogue import load, resolve_name
from tli_cli.catalogue.store import index, read_row
from tli_cli.catalogue.subjects import subject_of
from tli_cli.initial import replay

TIMM = ["resnet18", "vit_tiny_patch16_224", "convit_tiny", "levit_128s", "mobilenetv3_small_050"]
TORCHVISION = ["resnet18", "swin_t", "ssdlite320_mobilenet_v3_large", "regnet_x_400mf"]
MANY = ["timm:beit_base_patch16_224", "timm:convnext_atto", "timm:efficientnet_b0", "timm:maxvit_nano_rw_256",
        "timm:hgnetv2_b0", "timm:dm_nfnet_f0", "torchvision:ssdlite320_mobilenet_v3_large"]  # fmt: skip


def subject(name):
    library, _, plain = name.partition(":")
    return subject_of(library, plain)


def held(name):
    """Return the stored entry, or skip where another version of the library is installed."""
    entry = resolve_name(name).entry
    import timm
    import torchvision

    installed = {"timm": timm, "torchvision": torchvision}[entry.library].__version__.partition("+")[0]
    if installed != index()["libraries"][entry.library]:
        pytest.skip(f"the catalogue is of {entry.library} {entry.version}, {installed} is installed")
    return entry


NAMES = [*(f"timm:{name}" for name in TIMM), *(f"torchvision:{name}" for name in TORCHVISION)]

TRACED = [*(name for name in NAMES if name not in MANY), "torchvision:ssd300_vgg16"]
"""Those that are quickly traced; ssdlite takes long, and is a detector of the same kind."""


@pytest.mark.usefixtures("timm", "torchvision")
@pytest.mark.parametrize("name", [*TRACED, *(pytest.param(name, marks=pytest.mark.whole) for name in MANY)])
def test_the_stored_entry_is_what_the_library_gives(name):
    entry = held(name)
    found = survey(subject(name))
    row, stored = json.loads(json.dumps(found.row)), read_row(entry.structure)
    assert json.loads(json.dumps(retraced(subject(name), stored).row)) == row
    assert row == stored, "the tracer has changed: run python -m catalogue_builder.build --retrace"
    assert found.defaults == entry.defaults
    assert found.input_size == entry.input_size


@pytest.mark.usefixtures("timm", "torchvision")
@pytest.mark.parametrize("name", NAMES)
def test_names_shapes_and_order_are_the_librarys(name):
    held(name)
    options = {"num_classes": 11} if name.startswith("torchvision") else {"num_classes": 11, "in_chans": 2}
    with torch.device("cpu"):
        state = subject(name).create(**options).state_dict()
    architecture = load(name, **options)
    assert [(t.name, t.shape, f"torch.{t.dtype}") for t in architecture.tensors] == [
        (key, tuple(tensor.shape), str(tensor.dtype)) for key, tensor in state.items()
    ]


@pytest.mark.usefixtures("timm", "torchvision")
@pytest.mark.parametrize("name", NAMES)
def test_replayed_values_are_distributed_as_the_librarys(name):
    held(name)
    torch.manual_seed(0)
    state = subject(name).create().state_dict()
    architecture = load(name)
    for tensor in architecture.tensors:
        ours = replay(architecture.initial[tensor.name], tensor.shape, tensor.dtype, 0, tensor.name)
        agree(tensor.name, ours, state[tensor.name])


def agree(name, ours, theirs):
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if not theirs.is_floating_point() or theirs.numel() < 2 or theirs.std() == 0:
        assert torch.equal(ours, theirs), name
        return
    spread = float(theirs.std())
    error = spread / theirs.numel() ** 0.5
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), abs=8 * error), name
    assert float(ours.std()) == pytest.approx(spread, rel=6 / theirs.numel() ** 0.5 + 1e-3), name
    assert float(ours.abs().max()) <= 3 * float(theirs.abs().max()), name


def test_every_former_name_leads_to_an_entry():
    for old, new in index()["renamed"].items():
        assert resolve_name(old).entry.name == re.split(r"\.", new)[0]
