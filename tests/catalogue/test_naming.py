"""Names: listing them, and what a user's words stand for."""

from __future__ import annotations

import pytest

from tli_cli.catalogue import names, parse_name, resolve_name
from tli_cli.errors import TliError, UnknownReferenceError


def test_both_libraries_are_held_whole_or_nearly():
    listed = [str(name) for name in names()]
    assert len(listed) == len(set(listed))
    assert sum(name.startswith("timm:") for name in listed) > 1350
    assert sum(name.startswith("torchvision:") for name in listed) > 110


def test_a_pattern_is_part_of_a_name_or_a_glob():
    assert {"timm:resnet50", "torchvision:resnet50", "timm:legacy_seresnet50"} <= {str(n) for n in names("resnet50")}
    assert [str(n) for n in names("torchvision:resnet1[08]")] == ["torchvision:resnet18"]
    assert {n.library for n in names("resnet50")} == {"timm", "torchvision"}
    assert names("no such thing") == []


def test_a_bare_name_that_both_have_says_which_was_taken():
    resolved = resolve_name("resnet50")
    assert str(resolved.entry) == "timm resnet50"
    assert "torchvision:resnet50" in resolved.note
    assert resolve_name("timm:resnet50").note == ""
    assert str(resolve_name("torchvision:resnet50").entry) == "torchvision resnet50"
    assert str(resolve_name("fasterrcnn_resnet50_fpn").entry) == "torchvision fasterrcnn_resnet50_fpn"


def test_a_pretrained_tag_gives_its_number_of_classes():
    tagged = resolve_name("vit_base_patch16_224.augreg_in21k")
    assert tagged.entry.name == "vit_base_patch16_224"
    assert tagged.entry.defaults["num_classes"] == 21843
    assert "augreg_in21k" in tagged.note
    assert resolve_name("efficientnet_b0.ra_in1k").entry.defaults["num_classes"] == 1000


def test_names_that_timm_changed_still_resolve():
    renamed = resolve_name("tf_efficientnet_b0_ap")
    assert renamed.entry.name == "tf_efficientnet_b0"
    assert "tf_efficientnet_b0.ap_in1k" in renamed.note


def test_options_may_be_written_in_both_ways():
    assert parse_name("timm:resnet50?num_classes=10&in_chans=1") == (
        "timm",
        "resnet50",
        {"num_classes": "10", "in_chans": "1"},
    )
    assert parse_name("resnet50,num_classes=10,in_chans=1") == (
        None,
        "resnet50",
        {"num_classes": "10", "in_chans": "1"},
    )
    assert resolve_name("resnet50?num_classes=10").options == {"num_classes": 10}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resnet5O", "resnet50"),
        ("resnet50.no_such_tag", "unknown architecture"),
        ("torchvision:resnet26d", "unknown architecture"),
        ("keras:resnet50", "timm and torchvision"),
    ],
)
def test_unknown_names_get_a_suggestion_or_a_way_on(text, said):
    with pytest.raises(UnknownReferenceError, match=said):
        resolve_name(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resnet50?img_size=384", "timm:NAME\\?img_size=384"),
        ("resnet50?num_classes=many", "positive number"),
        ("resnet50?in_chans=0", "positive number"),
        ("resnet50?num_classes=²", "positive number"),
        ("resnet50?num_classes", "expected options"),
        ("resnet50?", "expected options"),
    ],
)
def test_options_that_cannot_be_say_why(text, said):
    with pytest.raises(TliError, match=said):
        resolve_name(text)
