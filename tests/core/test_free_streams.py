"""Residual streams that only norms read are narrowed to principal directions, which the norms' gains are taken into."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.core.support import carried_out
from tests.equivalence.harness import randomise
from tli_cli import Options
from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.injection.plan_checks import PlanCheck
from tli_cli.pieces import AxisMap
from tli_cli.plan import Plan
from tli_cli.planning.between import plan_injection
from tli_cli.planning.taken_ahead import TAKEN, said_of_time
from tli_cli.providers.module import describe_live

TOKENS = torch.randint(16, (2, 8), generator=torch.Generator().manual_seed(0))


class Offset(nn.Module):
    """An RMS norm whose gain is one more than its weight, as Gemma's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (x.pow(2).mean(-1, keepdim=True) + 1e-9).rsqrt() * (1 + self.weight)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "layer": lambda width: nn.LayerNorm(width, eps=1e-9),
    "rms": lambda width: nn.RMSNorm(width, eps=1e-9),
    "offset": Offset,
}


class Block(nn.Module):
    def __init__(self, width: int, norm: str, bias: bool, extra: str) -> None:
        super().__init__()
        self.norm, self.post, self.extra = NORMS[norm](width), NORMS[norm](width), extra
        self.qkv, self.o = nn.Linear(width, 24, bias=bias), nn.Linear(8, width, bias=bias)
        self.norm2, self.up, self.down = NORMS[norm](width), nn.Linear(width, 12, bias=bias), nn.Linear(12, width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        seen = (q @ k.transpose(-1, -2) / 2).softmax(-1) @ v
        x = x + self.o(seen.transpose(1, 2).flatten(2))
        made = self.down(self.up(x if self.extra == "raw" else self.norm2(x)).relu())
        if self.extra == "scaled":
            made = made * self.scale
        if self.extra == "bent":
            return (x + made).relu()
        return self.post(x + made) if self.extra == "post" else x + made


class Net(nn.Module):
    def __init__(self, width: int, norm: str = "layer", bias: bool = True, extra: str = "", classes: int = 5) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(16, width), nn.Parameter(torch.zeros(1, 8, width))
        self.blocks = nn.ModuleList(Block(width, norm, bias, extra) for _ in range(2))
        self.norm = NORMS[norm](width)
        self.head = nn.Linear(width, 16 if extra == "tied" else classes, bias=bias and extra != "tied")
        if extra == "tied":
            self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def nets(wide: int, narrow: int, *args: object, target: object = None, **kwargs: object) -> tuple[Net, Net]:
    source, made = Net(wide, *args, **kwargs), Net(narrow, *args, **{**kwargs, **(target or {})})  # type: ignore
    for seed, net in enumerate((source, made)):
        randomise(net.double().eval(), seed)
    return source, made


def planned(source: Net, target: Net, **options: str) -> Plan:
    described = [describe_live(net, TOKENS) for net in (target, source)]
    plan = plan_injection(described[0], described[1:], Options(**{"method": "maps", **options}), "target")
    assert not list(PlanCheck(plan, described[1:], described[0]).problems())
    assert Plan.from_json(plan.to_json()) == plan
    return plan


def filled(plan: Plan, source: Net, target: Net) -> Net:
    target.load_state_dict(carried_out(plan, source.state_dict(), target.state_dict()))
    return target


def is_turned(plan: Plan) -> bool:
    return any(axis_map.rule.startswith("directions") for axis_map in plan.maps)


def flattened(net: Net, size: int, centred: bool) -> None:
    """Let everything that makes the stream stay within `size` of its directions, and outweigh what reads it; norms make
    up for that."""
    width = net.embed.weight.shape[1]
    draw = torch.randn(width, size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    basis = torch.linalg.qr(draw - draw.mean(0) if centred else draw)[0]
    kept = 1e8 * basis @ basis.T
    with torch.no_grad():
        for values in (net.embed.weight, net.places):
            values.copy_(values @ kept)
        for layer in (layer for block in net.blocks for layer in (block.o, block.down)):
            layer.weight.copy_(kept @ layer.weight)
            if layer.bias is not None:
                layer.bias.copy_(kept @ layer.bias)


@pytest.mark.parametrize("norm", list(NORMS))
@pytest.mark.parametrize("bias", [True, False])
def test_a_stream_that_fills_no_more_directions_than_are_kept_computes_the_same(norm: str, bias: bool) -> None:
    """LayerNorm without biases behind it has a bias that nothing takes over; it is left out there."""
    source, target = nets(24, 10, norm, bias)
    flattened(source, 9 if norm == "layer" else 10, norm == "layer")
    if norm == "layer" and not bias:
        for name, values in source.named_parameters():
            values.data *= 0.0 if "norm" in name and name.endswith("bias") else 1.0
    plan = planned(source, target)
    assert is_turned(plan)
    with torch.no_grad():
        expected, made = source(TOKENS), filled(plan, source, target)(TOKENS)
    assert torch.allclose(made, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
    assert not any(step.exact for step in plan.steps if step.action == "transfer" and step.resizer != "copy")


def test_norms_start_plain_and_are_said_to_be_used() -> None:
    source, target = nets(24, 16)
    plan = planned(source, target)
    made = filled(plan, source, target)
    for norm in (made.norm, *(n for block in made.blocks for n in (block.norm, block.norm2))):
        assert norm.weight.eq(1).all() and norm.bias.eq(0).all()
    assert plan.by_target["blocks.0.norm.weight"].reason == TAKEN
    folds = [piece.fold.before for piece in plan.by_target["blocks.1.qkv.bias"].pieces if piece.fold is not None]
    assert set(folds) == {"blocks.1.norm.bias"}
    assert all("post" in name or "scale" in name for name in plan.unused)


def test_before_a_fresh_head_a_norm_keeps_its_size() -> None:
    source, target = nets(24, 16, target={"classes": 7})
    made = filled(planned(source, target), source, target)
    assert torch.allclose(made.norm.weight, source.norm.weight.mean() * 1.5**0.5)
    assert made.blocks[0].norm.weight.eq(1).all()


def test_a_head_that_is_a_table_leaves_the_norm_before_it_its_mean() -> None:
    source, target = nets(24, 16, extra="tied")
    plan = planned(source, target)
    made = filled(plan, source, target)
    assert is_turned(plan) and made.norm.weight.unique().numel() == 1 and made.norm.bias.any()
    assert torch.equal(made.head.weight, made.embed.weight)


def test_scales_at_the_ends_of_branches_are_taken_into_the_layers_before_them() -> None:
    source, target = nets(24, 10, extra="scaled")
    flattened(source, 9, centred=True)
    with torch.no_grad():
        for block in source.blocks:
            block.scale.fill_(2.5)
    plan = planned(source, target)
    with torch.no_grad():
        expected, made = source(TOKENS), filled(plan, source, target)(TOKENS)
    assert is_turned(plan) and all(block.scale.eq(1).all() for block in target.blocks)
    assert torch.allclose(made, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("columns", "said"), [(4096, ()), (4096 * 400, ("about 20 minutes of one core",))])
def test_it_is_said_how_long_directions_take_where_that_is_minutes(columns: int, said: tuple[str, ...]) -> None:
    source = Architecture((TensorSpec("weight", (4096, columns)),), ())
    taken = AxisMap("directions", 3072, 4096, members=((0, "weight", 0, 0, 4096, 1, 1),))
    found = list(said_of_time([taken, AxisMap("same", 8, 8)], [source]))
    assert len(found) == len(said) and all(words in line for words, line in zip(said, found, strict=True))


@pytest.mark.parametrize("extra", ["post", "raw", "bent"])
def test_channels_that_are_used_one_by_one_are_chosen(extra: str) -> None:
    assert not is_turned(planned(*nets(24, 16, extra=extra)))


@pytest.mark.parametrize(("wide", "narrow", "method"), [(16, 16, "maps"), (16, 24, "maps"), (24, 16, "even")])
def test_nothing_is_turned_that_is_not_narrower_or_not_to_be(wide: int, narrow: int, method: str) -> None:
    assert not is_turned(planned(*nets(wide, narrow), method=method))
    assert not is_turned(planned(Net(24).double(), Net(16, "rms").double()))
