"""A bare checkpoint of the other side's class is described as its own trace would describe it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.core.support import build
from tests.models import example_for
from tli_cli import Options
from tli_cli.architecture import Architecture
from tli_cli.catalogue.loading import without
from tli_cli.describe.from_names.names import describe_names
from tli_cli.describe.tracing.trace import state_specs
from tli_cli.kinship import as_kin, related
from tli_cli.plan import Plan
from tli_cli.planning.between import plan_injection
from tli_cli.providers.module import describe_live

PAIRS = [
    ("resnet", {}, {"width": 12, "depth": 3, "kernel": 5}),
    ("resnet", {"depth": 4, "width": 12}, {}),
    ("resnext", {}, {"groups": 4, "per_group": 8, "width": 16}),
    ("vgg", {}, {"width": 12}),
    ("mobilenet", {}, {"width": 12}),
    ("dense", {}, {"growth": 6}),
    ("dense", {}, {"depth": 4}),
    ("convnext", {}, {"width": 16, "depth": 3}),
    ("convnext", {"depth": 3}, {"kernel": 7}),
    ("group_norm", {}, {"width": 16}),
    ("shuffle", {}, {"width": 12}),
    ("vit", {}, {"heads": 3, "depth": 4}),
    ("vit", {"depth": 5}, {"width": 32}),
    ("post_norm", {}, {"ratio": 3}),
    ("mixer", {}, {"ratio": 3, "depth": 3}),
    ("gated", {}, {"width": 24}),
    ("decoder", {}, {"heads": 6, "kv_heads": 3}),
    ("decoder", {"depth": 4}, {"width": 24}),
    ("decoder", {"tied": False}, {}),
    ("rotary", {}, {"hidden": 36, "depth": 3}),
]
OPEN = [
    ("vit", {}, {"head_width": 16}),
    ("decoder", {}, {"head_width": 8}),
    ("group_norm", {}, {"width": 16, "groups": 4}),
]
OTHERS = [
    ("resnet", "mobilenet"),
    ("vit", "mixer"),
    ("decoder", "vit"),
]


def bare(model: torch.nn.Module) -> Architecture:
    """Return what a safetensors file would tell: names and shapes, sorted."""
    return describe_names(sorted(state_specs(model), key=lambda spec: spec.name), order_from="inferred")


def planned(source: Architecture, target: Architecture) -> Plan:
    return plan_injection(target, [source], Options(), keep_values="target")


@pytest.mark.parametrize(("name", "source", "target"), PAIRS, ids=str)
def test_the_plan_is_that_of_the_traced_source(name, source, target):
    given, wanted = build(name, 1, **source), describe_live(build(name, 2, **target), example_for(name))
    kin = as_kin(bare(given), wanted)
    assert kin is not None
    found, expected = planned(kin, wanted), planned(describe_live(given, example_for(name)), wanted)
    for step, other in zip(found.steps, expected.steps, strict=True):
        assert (step.target, step.action, step.initial) == (other.target, other.action, other.initial)
        assert step.exact == other.exact or (kin.guessed and not step.exact)
    assert [_maps(found, step) for step in found.steps] == [_maps(expected, step) for step in expected.steps]


@pytest.mark.parametrize("kept", ["embed_tokens.weight", "lm_head.weight"])
@pytest.mark.parametrize("held", ["embed_tokens.weight", "lm_head.weight"])
def test_a_table_that_is_a_head_is_found_by_either_name(kept, held):
    """A file may keep one name of a tensor that has two, and so may the target's."""
    model, both = build("decoder", 1), {"embed_tokens.weight", "lm_head.weight"}
    wanted = without(describe_live(build("decoder", 2), example_for("decoder")), frozenset(both - {held}))
    assert all(spec.tied_to is None for spec in wanted.tensors)
    specs = [spec for spec in state_specs(model) if spec.name not in both - {kept}]
    file = describe_names(
        [replace(s, tied_to=None) for s in sorted(specs, key=lambda s: s.name)], order_from="inferred"
    )
    kin = as_kin(file, wanted)
    assert kin is not None
    steps = {step.target: step for step in planned(kin, wanted).steps}
    assert [piece.source for piece in steps[held].pieces] == [kept]
    assert all(step.action == "transfer" and step.exact for step in steps.values())


def _maps(plan: Plan, step) -> list[object]:
    """Return how a step makes its tensor, in terms that do not depend on how spaces and maps are numbered."""

    def spelled(expression: object) -> object:
        if isinstance(expression, tuple):
            return (expression[0], *map(spelled, expression[1:]))
        found = plan.maps[expression]
        return (found.rule, found.rows, found.columns, sorted((m[1], *m[2:]) for m in found.members))

    return [(p.source, p.layout, p.contracted, [spelled(axis) for axis in p.axes]) for p in step.pieces]


@pytest.mark.parametrize(("name", "source", "target"), OPEN, ids=str)
def test_what_shapes_leave_open_is_not_called_exact(name, source, target):
    wanted = describe_live(build(name, 2, **target), example_for(name))
    kin = as_kin(bare(build(name, 1, **source)), wanted)
    assert kin is not None and kin.guessed
    assert not all(step.exact for step in planned(kin, wanted).steps)


class _Ended(torch.nn.Module):
    """A short chain whose last layer has a bias or not."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(6, 6) for _ in range(4))
        self.end = torch.nn.Linear(6, 6, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return self.end(x)


def test_a_bias_that_the_class_lacks_is_missed():
    wanted = describe_live(_Ended(bias=False), (2, 6))
    kin = as_kin(bare(_Ended(bias=True)), wanted)
    assert kin is not None
    assert [step.target for step in planned(kin, wanted).steps if not step.exact] == ["end.weight"]


class _Apart(torch.nn.Module):
    """Queries, keys and values by one weight, with biases of their own for the first and the last."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.add_module(names[0], torch.nn.Linear(8, 24, bias=False))
        for name in names[1:]:
            self.register_parameter(name, torch.nn.Parameter(torch.randn(8)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joint, first, last = (getattr(self, name) for name in self.names)
        bias = torch.cat((first, torch.zeros_like(last), last))
        q, k, v = torch.nn.functional.linear(x, joint.weight, bias).chunk(3, -1)
        return (q @ k.transpose(1, 2)).softmax(-1) @ v


def test_biases_of_other_names_lie_where_those_of_their_order_do():
    wanted = describe_live(_Apart("joint", "offset", "shift"), (2, 5, 8))
    kin = as_kin(describe_names(state_specs(_Apart("qkv", "q_bias", "v_bias")), order_from="file"), wanted)
    assert kin is not None
    assert {step.target: [p.source for p in step.pieces] for step in planned(kin, wanted).steps} == {
        "offset": ["q_bias"],
        "shift": ["v_bias"],
        "joint.weight": ["qkv.weight"] * 3,
    }


def test_a_head_beside_a_table_that_is_one_is_known_as_such():
    """As files leave out what is tied, the target's names hold no head."""
    tied = describe_live(build("decoder", 2), example_for("decoder"))
    wanted = without(tied, {spec.name for spec in tied.tensors if spec.tied_to})
    kin = as_kin(bare(build("decoder", 1, tied=False)), wanted)
    assert kin is not None
    assert [step.reason for step in planned(kin, wanted).steps if not step.exact] == [
        "it is run 2 times, in the source 1"
    ]


@pytest.mark.parametrize(("name", "other"), OTHERS)
def test_another_class_is_no_kin(name, other):
    assert as_kin(bare(build(name, 1)), describe_live(build(other, 2), example_for(other))) is None


def test_blocks_in_other_places_are_no_kin():
    """One list of blocks of which the third halves the map: index by index, a longer list does not fit."""
    wanted = describe_live(build("mobilenet", 2, depth=3), example_for("mobilenet"))
    assert as_kin(bare(build("mobilenet", 1)), wanted) is None


@pytest.mark.parametrize("prefix", ["", "encoder.backbone."])
def test_a_prefix_on_either_side_does_not_matter(prefix):
    model = build("vit", 1)
    named = describe_names([_renamed(spec, prefix) for spec in state_specs(model)], order_from="file")
    wanted = describe_live(torch.nn.ModuleDict({"inner": build("vit", 2, width=32)})["inner"], example_for("vit"))
    assert related([named, wanted])[0].graph and related([wanted, named])[1].graph


def _renamed(spec, prefix):
    return replace(spec, name=prefix + spec.name)
