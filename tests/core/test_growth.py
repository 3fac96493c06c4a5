"""Growth keeps the function; what a plan calls exact is exact."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.support import build, distance, promises
from tests.models import example_for, randomised
from tli_cli import Options, apply_tli
from tli_cli.plan import Plan

KEPT = [
    ("resnet", {}, {"width": 16}),
    ("resnet", {}, {"width": 12}),
    ("resnet", {}, {"width": 11}),
    ("resnet", {}, {"depth": 4}),
    ("resnet", {}, {"kernel": 5}),
    ("resnet", {}, {"width": 12, "depth": 3, "kernel": 5}),
    ("resnext", {}, {"per_group": 8}),
    ("resnext", {}, {"per_group": 6}),
    ("resnext", {}, {"groups": 4}),
    ("resnext", {}, {"groups": 3}),
    ("resnext", {}, {"groups": 4, "per_group": 8, "width": 16}),
    ("vgg", {}, {"width": 12}),
    ("vgg", {}, {"width": 8}),
    ("vgg", {}, {"hidden": 20}),
    ("vgg", {}, {"kernel": 5}),
    ("mobilenet", {}, {"width": 16}),
    ("mobilenet", {}, {"width": 12}),
    ("mobilenet", {}, {"ratio": 4}),
    ("mobilenet", {}, {"ratio": 3}),
    ("mobilenet", {}, {"kernel": 5}),
    ("mobilenet", {}, {"depth": 3}),
    ("dense", {}, {"width": 16}),
    ("dense", {}, {"width": 12}),
    ("dense", {}, {"growth": 8}),
    ("dense", {}, {"growth": 6}),
    ("dense", {}, {"depth": 4}),
    ("convnext", {}, {"width": 16}),
    ("convnext", {}, {"ratio": 4}),
    ("convnext", {}, {"ratio": 3}),
    ("convnext", {}, {"kernel": 7}),
    ("convnext", {}, {"depth": 3}),
    ("group_norm", {}, {"width": 16}),
    ("group_norm", {}, {"width": 16, "groups": 4}),
    ("shuffle", {}, {"width": 16}),
    ("shuffle", {}, {"width": 12}),
    ("vit", {}, {"width": 32}),
    ("vit", {}, {"width": 24}),
    ("vit", {}, {"heads": 4}),
    ("vit", {}, {"heads": 3}),
    ("vit", {}, {"head_width": 16}),
    ("vit", {}, {"head_width": 12}),
    ("vit", {}, {"ratio": 4}),
    ("vit", {}, {"ratio": 3}),
    ("vit", {}, {"depth": 4}),
    ("vit", {}, {"width": 24, "heads": 3, "depth": 3, "head_width": 12}),
    ("post_norm", {}, {"width": 32}),
    ("post_norm", {}, {"heads": 4}),
    ("post_norm", {}, {"ratio": 3}),
    ("post_norm", {}, {"depth": 3}),
    ("gated", {}, {"width": 32}),
    ("gated", {}, {"width": 24}),
    ("gated", {}, {"ratio": 3}),
    ("gated", {}, {"depth": 3}),
    ("mixer", {}, {"width": 32}),
    ("mixer", {}, {"ratio": 3}),
    ("mixer", {}, {"depth": 3}),
    ("decoder", {}, {"width": 32}),
    ("decoder", {}, {"width": 24}),
    ("decoder", {"tied": False}, {"tied": False, "width": 32}),
    ("decoder", {"tied": False}, {"tied": False, "width": 24}),
    ("decoder", {}, {"heads": 8}),
    ("decoder", {}, {"heads": 6}),
    ("decoder", {}, {"heads": 8, "kv_heads": 4}),
    ("decoder", {}, {"heads": 6, "kv_heads": 3}),
    ("decoder", {"kv_heads": 1}, {"kv_heads": 4}),
    ("decoder", {"kv_heads": 4}, {"kv_heads": 4, "heads": 16}),
    ("rotary", {"kv_heads": 4}, {"kv_heads": 4, "heads": 8, "width": 24}),
    ("decoder", {}, {"head_width": 8}),
    ("decoder", {}, {"head_width": 6}),
    ("decoder", {}, {"hidden": 48}),
    ("decoder", {}, {"hidden": 36}),
    ("decoder", {}, {"depth": 3}),
    ("decoder", {}, {"width": 32, "depth": 3, "heads": 8, "kv_heads": 4, "head_width": 8, "hidden": 40}),
    ("rotary", {}, {"width": 32}),
    ("rotary", {}, {"heads": 8, "kv_heads": 4}),
    ("rotary", {}, {"depth": 3}),
    ("rotary", {}, {"head_width": 8}),
    ("rotary", {}, {"kv_heads": 4}),
    ("rotary", {"kv_heads": 1}, {"kv_heads": 2, "head_width": 8}),
    ("decoder", {}, {"kv_heads": 4}),
    ("decoder", {}, {"kv_heads": 4, "head_width": 8}),
]
NOT_KEPT = [
    ("convnext", {}, {"width": 12}),
    ("mixer", {}, {"width": 24}),
    ("post_norm", {}, {"width": 24}),
    ("group_norm", {}, {"width": 12}),
    ("group_norm", {}, {"groups": 4}),
    ("shuffle", {}, {"groups": 4}),
    ("rotary", {}, {"head_width": 6}),
    ("resnet", {"width": 16}, {"width": 8}),
    ("resnet", {"depth": 3}, {"depth": 2}),
    ("vit", {"width": 32, "heads": 4}, {}),
    ("decoder", {"tied": False}, {}),
    ("shuffle", {}, {"groups": 4, "width": 16}),
]
STANDARDISED = [
    ("group_norm", {"standardised": True}, {"standardised": True, "width": 16}),
    ("group_norm", {"standardised": False}, {"standardised": True}),
]


def name_of(case: tuple[str, dict[str, int], dict[str, int]]) -> str:
    return " ".join([case[0], *(f"{key}={value}" for key, value in case[2].items())])


def grown(name: str, source: dict[str, int], target: dict[str, int], method: str = "auto") -> tuple[float, Plan]:
    given, wanted = build(name, 1, **source), build(name, 2, **target)
    plan = apply_tli(wanted, given, example=example_for(name), options=Options(method=method))
    return distance(given, wanted, example_for(name)), plan


@pytest.mark.parametrize(("name", "source", "target"), KEPT, ids=map(name_of, KEPT))
def test_growth_keeps_the_function_and_says_so(name, source, target):
    difference, plan = grown(name, source, target)
    assert difference < 1e-9
    assert promises(plan), [(step.target, step.reason) for step in plan.steps if not step.exact][:3]


@pytest.mark.parametrize(("name", "source", "target"), NOT_KEPT, ids=map(name_of, NOT_KEPT))
def test_what_does_not_keep_the_function_is_not_called_exact(name, source, target):
    difference, plan = grown(name, source, target, "even")
    assert difference > 1e-6 and not promises(plan)


@pytest.mark.parametrize(("name", "source", "target"), STANDARDISED, ids=["wider", "from plain"])
def test_standardised_filters_are_not_called_exact(name, source, target):
    difference, plan = grown(name, source, target)
    assert difference < 1e-9 or not promises(plan)


@pytest.mark.parametrize("more", [{}, {"biased": True}, {"width": 32}, {"width": 32, "biased": True}])
def test_a_tied_table_feeds_a_head_of_its_own(more):
    source = {"biased": more.get("biased", False), "tied": True}
    difference, plan = grown("decoder", source, {"tied": False, **more})
    assert difference < 1e-9 and promises(plan) and not plan.unused and not plan.initialised


@pytest.mark.parametrize("more", [{}, {"biased": True}, {"width": 32, "biased": True}])
def test_a_head_of_its_own_into_a_tied_one_is_said_to_change_the_function(more):
    source = {"biased": more.get("biased", False), "tied": False}
    given, wanted = build("decoder", 1, **source), build("decoder", 2, tied=True, **more)
    plan = apply_tli(wanted, given, example=example_for("decoder"))
    doubtful = {step.target for step in plan.steps if not step.exact}
    heads = {"lm_head.weight", "lm_head.bias"} if source["biased"] else {"lm_head.weight"}
    assert doubtful == {"embed_tokens.weight"} | heads and plan.unused == ("lm_head.weight",)
    assert plan.relation == ("wider" if "width" in more else "adapted")
    assert "the source's own head, lm_head, is left out: the function changes" in plan.notes[0]
    if source["biased"]:
        assert torch.equal(wanted.lm_head.bias, given.lm_head.bias)
    else:
        assert torch.equal(wanted.embed_tokens.weight, given.embed_tokens.weight)


def test_an_added_plain_layer_keeps_the_function_but_for_the_norms_epsilon():
    difference, plan = grown("vgg", {}, {"depth": 3})
    assert difference < 1e-4 and plan.relation == "deeper"


@pytest.mark.parametrize(
    ("name", "width", "tensor"),
    [
        ("resnet", 16, "layer1.0.conv1.weight"),
        ("vit", 32, "blocks.0.mlp.fc1.weight"),
        ("decoder", 32, "layers.0.mlp.up_proj.weight"),
    ],
)
def test_copies_may_part_in_training(name, width, tensor):
    """Consumers of copied channels weigh the copies unevenly, else equal copies would stay equal for ever."""
    given, wanted = build(name, 1), build(name, 2, width=width)
    apply_tli(wanted, given, example=example_for(name))
    first, second = wanted.state_dict()[tensor].chunk(2, 1)
    assert float((first - second).abs().max()) > 1e-3


@pytest.mark.parametrize(("groups", "per_group"), [(4, 3), (3, 4), (3, 5)])
def test_channels_that_come_to_stand_in_groups_are_all_kept(groups, per_group):
    given, wanted = build("resnet", 1), build("resnet", 2, groups=groups, per_group=per_group)
    apply_tli(wanted, given, example=example_for("resnet"), options=Options(method="maps"))
    for name, value in given.layer1[0].bn1.state_dict().items():
        assert set(wanted.layer1[0].bn1.state_dict()[name].flatten().tolist()) == set(value.flatten().tolist())


class Padded(nn.Module):
    """Stages whose shortcuts put channels of zeros around those that they pass on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, width, 3, padding=1), nn.Linear(4 * width, 5)
        self.convs = nn.ModuleList(nn.Conv2d(width << i, width << i + 1, 3, 2, 1) for i in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for conv in self.convs:
            around = x.shape[1] // 2
            x = torch.relu(conv(x)) + functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, around, around))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("width", [16, 12])
def test_channels_of_zeros_around_others_stay_around_them_when_all_grow(width: int) -> None:
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    source, target = (randomised(Padded(n), n).double().eval() for n in (8, width))
    plan = apply_tli(target, source, example=images, options=Options(method="maps", head="keep"))
    assert distance(source, target, (images,)) < 1e-12 and promises(plan)
