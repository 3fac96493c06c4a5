"""Numbers written in code decide whether equal tensors compute the same: a plan that is called exact has seen them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli
from tli_cli.describe.tracing.trace import trace
from tli_cli.planning.claims.unshared import Behind


class Attending(nn.Module):
    """One causal attention over tokens, with numbers of every kind in its code."""

    def __init__(
        self,
        width: int = 8,
        heads: int = 2,
        head_width: int = 4,
        scale: float = 0.0,
        cap: float = 0.0,
        slopes: bool = False,
        embed: bool = False,
        waves: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.head_width, self.width = heads, head_width, width
        self.scale, self.cap, self.slopes = scale or head_width**-0.5, cap, slopes
        self.register_buffer("embed_scale", torch.tensor(width**0.5 if embed else 1.0), persistent=False)
        self.waves = waves
        self.embed = nn.Embedding(16, width)
        self.q, self.k, self.v = (nn.Linear(width, heads * head_width) for _ in range(3))
        self.o, self.head = nn.Linear(heads * head_width, width), nn.Linear(width, 5)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, self.head_width)).transpose(1, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) * self.embed_scale
        places = torch.arange(tokens.shape[1], device=tokens.device)
        if self.waves:
            x = x + torch.sin(places[:, None] / (1 + torch.arange(self.width, device=tokens.device)))
        q, k, v = (self._heads(f(x)) for f in (self.q, self.k, self.v))
        scores = q @ k.transpose(-1, -2) * self.scale
        if self.cap:
            scores = torch.tanh(scores / self.cap) * self.cap
        if self.slopes:
            slopes = 2.0 ** -torch.arange(1, self.heads + 1, device=tokens.device)
            scores = scores + slopes[:, None, None] * (places - places[:, None])
        return self.head(x + self.o((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)))


class Seeing(nn.Module):
    """Convolutions and a pool whose steps, gaps, edges and shifts are numbers."""

    def __init__(self, stride: int = 1, dilation: int = 1, pad: int = 1, kernel: int = 3, pool: str = "max",
                 shift: int = 0, approximate: str = "none", slope: float = 0.1,
                 edge: str = "zeros") -> None:  # fmt: skip
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv = nn.Conv2d(8, 8, kernel, stride, pad, dilation, padding_mode=edge)
        self.pool, self.shift, self.slope = pool, shift, slope
        self.act, self.head = nn.GELU(approximate), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.roll(functional.leaky_relu(self.stem(x), self.slope), (self.shift, 0), (2, 3))
        x = self.act(self.conv(getattr(functional, f"{self.pool}_pool2d")(x, 2)))
        return self.head(x[:, :, : x.shape[2] // 2].mean((2, 3)))


class Speaking(nn.Module):
    """A table of tokens that is the head too, scaled by powers of the width before a block, behind it, or both."""

    def __init__(self, width: int = 8, begins: float = 0.0, ends: float = 0.0, cap: float = 0.0, own: bool = False):
        super().__init__()
        self.begins, self.ends, self.cap = width**begins, width**ends, cap
        self.embed, self.norms = nn.Embedding(16, width), nn.ModuleList(nn.RMSNorm(width, eps=1e-12) for _ in range(2))
        self.mlp = nn.Sequential(nn.Linear(width, 12), nn.GELU(), nn.Linear(12, width))
        self.head = nn.Linear(width, 16, bias=False)
        if not own:
            self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) * self.begins
        logits = self.head(self.norms[1](x + self.mlp(self.norms[0](x))) * self.ends)
        return (logits / self.cap).tanh() * self.cap if self.cap else logits


class Enlarging(nn.Module):
    def __init__(self, inputs: int, factor: float = 2.0) -> None:
        super().__init__()
        self.factor, self.stem, self.last = factor, nn.Conv2d(inputs, 8, 3, 2, 1), nn.Conv2d(8, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(functional.interpolate(self.stem(x), scale_factor=self.factor, mode="bilinear"))


TOKENS = torch.randint(0, 16, (2, 7), generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
KEPT = [
    (Attending, {}, {"head_width": 8}),
    (Attending, {"scale": 0.3}, {"scale": 0.3, "head_width": 8}),
    (Attending, {"scale": 1.0}, {"scale": 1.0, "head_width": 6, "heads": 4}),
    (Attending, {"cap": 2.0}, {"cap": 2.0, "head_width": 8}),
    (Attending, {"slopes": True}, {"slopes": True, "width": 16, "head_width": 8}),
    (Attending, {"embed": True}, {"embed": True, "heads": 4}),
    (Attending, {"waves": True}, {"waves": True, "heads": 4}),
    (Speaking, {"begins": 0.5, "cap": 3.0}, {"begins": 0.5, "cap": 3.0, "width": 16}),
    (Speaking, {"ends": -0.5}, {"ends": -0.5, "width": 16}),
    (Speaking, {"begins": 0.5, "ends": -0.5}, {"begins": 0.5, "ends": -0.5, "width": 12}),
    (Speaking, {"ends": -0.5, "own": True}, {"ends": -0.5, "own": True, "width": 16}),
    (Seeing, {}, {"kernel": 5, "pad": 2}),
    (Seeing, {"dilation": 2, "pad": 2}, {"dilation": 2, "kernel": 5, "pad": 4}),
    (Seeing, {"edge": "reflect"}, {"edge": "reflect", "kernel": 5, "pad": 2}),
    (Seeing, {"edge": "replicate"}, {"edge": "replicate", "kernel": 5, "pad": 2}),
]
NOT_KEPT = [
    (Attending, {}, {"scale": 1.0}),
    (Attending, {"cap": 2.0}, {"cap": 4.0}),
    (Attending, {"cap": 2.0}, {"cap": 4.0, "head_width": 8}),
    (Attending, {"cap": 2.0}, {"cap": 0.5, "head_width": 8}),
    (Attending, {}, {"cap": 4.0}),
    (Attending, {"slopes": True}, {"slopes": True, "heads": 4}),
    (Speaking, {"begins": 0.5, "cap": 3.0}, {"begins": 0.5, "cap": 2.0, "width": 16}),
    (Attending, {"waves": True}, {"waves": True, "width": 16}),
    (Seeing, {}, {"stride": 2}),
    (Seeing, {}, {"dilation": 2, "pad": 2}),
    (Seeing, {}, {"pad": 0}),
    (Seeing, {}, {"kernel": 5, "pad": 1}),
    (Seeing, {}, {"pool": "avg"}),
    (Seeing, {}, {"shift": 3}),
    (Seeing, {"shift": 3}, {"shift": 5}),
    (Seeing, {}, {"approximate": "tanh"}),
    (Seeing, {}, {"slope": 0.3}),
    (Seeing, {}, {"edge": "reflect"}),
    (Seeing, {"edge": "reflect"}, {"edge": "replicate"}),
    (Seeing, {"edge": "reflect"}, {"edge": "reflect", "kernel": 5}),
]


def named(case):
    return " ".join([case[0].__name__, *(f"{key}={value}" for key, value in case[2].items())])


def grown(make, source, target):
    given, wanted = randomised(make(**source), 1), randomised(make(**target), 2)
    example = TOKENS if make in (Attending, Speaking) else IMAGES
    plan = apply_tli(wanted, given, example=example, options=Options(method="even"))
    return distance(given, wanted, (example,)), plan


@pytest.mark.parametrize("case", KEPT, ids=named)
def test_numbers_that_are_made_up_for_or_equal_keep_the_function(case):
    difference, plan = grown(*case)
    assert difference < 1e-9
    assert promises(plan), [(s.target, s.reason) for s in plan.steps if not s.exact]


@pytest.mark.parametrize("case", NOT_KEPT, ids=named)
def test_other_numbers_are_not_called_exact(case):
    difference, plan = grown(*case)
    assert difference > 1e-6 and not promises(plan)


def test_a_scale_by_the_width_is_seen():
    difference, plan = grown(Attending, {"embed": True}, {"embed": True, "width": 16})
    assert promises(plan) == (difference < 1e-9)


def test_a_plan_says_which_number_differs():
    _, plan = grown(Attending, {}, {"scale": 1.0})
    reasons = [step.reason for step in plan.steps if not step.exact]
    assert any("mul 1, in the source mul 0.5" in reason for reason in reasons), reasons
    assert math.isclose(grown(Attending, {}, {})[0], 0.0)


@pytest.mark.parametrize(("epsilon", "said"), [(1e-6, 0), (2e-6, 0), (1e-5, 1)])
def test_copies_that_compute_something_else_are_told_of(epsilon, said):
    def net(epsilon):
        return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8, eps=epsilon), nn.Linear(8, 3))

    plan = apply_tli(randomised(net(epsilon), 2), randomised(net(1e-6), 1), example=torch.randn(2, 6))
    assert [step.resizer for step in plan.steps] == ["copy"] * 6
    told = [note for note in plan.notes if "copied as" in note]
    assert len(told) == said and all("1.weight: 1e-05 is added to the variance" in note for note in told)


class Branches(nn.Module):
    """Two branches beside each other, one of them behind a norm whose weight is added to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.gain = nn.Linear(8, 8, bias=False), nn.Linear(8, 8), nn.Parameter(torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.left(torch.tanh(x))
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-14) * (1 + self.gain)
        return x + self.right(torch.tanh(x)) + y


class Stacked(nn.Module):
    """Blocks of branches, perhaps run often."""

    def __init__(self, depth: int = 1, runs: int = 1) -> None:
        super().__init__()
        self.first, self.last, self.runs = nn.Linear(6, 8), nn.Linear(8, 4), runs
        self.blocks = nn.ModuleList([Branches() for _ in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            for _ in range(self.runs):
                x = block(x)
        return self.last(x)


def stacked(**target):
    given, wanted = randomised(Stacked(), 1), randomised(Stacked(**target), 2)
    example = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plan = apply_tli(wanted, given, example=example, options=Options(method="even"))
    return distance(given, wanted, (example,)), promises(plan)


def test_branches_beside_each_other_start_at_zero_whatever_is_added_to_their_norms():
    difference, promised = stacked(depth=3)
    assert promised and difference < 1e-9


def test_a_block_that_is_run_more_often_is_not_called_exact():
    difference, promised = stacked(runs=2)
    assert difference > 1e-6 and not promised


class Scaled(nn.Module):
    """An attention that scales its products or its queries, keys first or last, and a head behind `act`."""

    def __init__(self, products: bool = True, act: str = "relu") -> None:
        super().__init__()
        self.products, self.act = products, act
        self.first, self.head = nn.Linear(6, 8), nn.Linear(8, 4)
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if self.products:
            q, k, v = self.q(x), self.k(x), self.v(x)
            scores = (q @ k.mT) * 0.25
        else:
            v, k, q = self.v(x), self.k(x), self.q(x) * 0.25
            scores = q @ k.mT
        return self.head(getattr(torch.nn.functional, self.act)(x + self.out(scores.softmax(-1) @ v)))


@pytest.mark.parametrize("products", [True, False])
def test_products_may_be_scaled_in_either_place(products: bool) -> None:
    source, target = randomised(Scaled(products), 1), randomised(Scaled(not products, "silu"), 2)
    example = (torch.randn(2, 5, 6, dtype=torch.float64),)
    steps = apply_tli(target, source, example=example, options=Options(method="maps")).by_target
    assert all(steps[f"{layer}.weight"].exact for layer in "qkv")
    assert not steps["head.weight"].exact


def test_an_added_block_may_multiply_with_zero_as_its_original_does():
    silent, doubled = [("mul", 0.0)], [("mul", 2.0)]
    assert not Behind([silent, silent], [silent], {0: 0}, {1: 0}).unshared(())
    assert Behind([doubled, silent], [doubled], {0: 0}, {1: 0}).unshared(()) == {}
    assert 0 in Behind([doubled, doubled], [silent], {0: 0}, {1: 0}).unshared(())


@pytest.mark.parametrize("norm", [nn.RMSNorm(8), nn.RMSNorm(8, eps=1e-6), nn.LayerNorm(8)], ids=str)
def test_the_steps_of_a_norm_are_not_told_as_numbers_of_the_layer_before(norm: nn.Module) -> None:
    layers = trace(nn.Sequential(nn.Linear(6, 8), norm, nn.Linear(8, 4)), (torch.randn(2, 6),)).layers
    assert [layer.kind for layer in layers] == ["linear", "norm", "linear"] and not layers[0].numbers


class Apart(nn.Module):
    """Code that acts on what the first of two layers makes, when both have been run."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mine, other = self.first(x), self.second(x)
        return self.last(torch.cat([torch.nn.functional.softsign(mine) * 0.5, other], -1))


def test_numbers_stand_with_the_layer_that_makes_what_they_act_on() -> None:
    layers = trace(Apart(), (torch.randn(2, 6),)).layers
    assert {number[0] for number in layers[0].numbers} == {"abs", "add", "own", "mul"} and not layers[1].numbers


@pytest.mark.parametrize(("padding", "alike"), [(0, True), (1, False)])
def test_a_mean_over_no_edges_is_one_however_it_counts_them(padding: int, alike: bool) -> None:
    def net(counts: bool) -> nn.Module:
        pool = nn.AvgPool2d(2, 2, padding, ceil_mode=True, count_include_pad=counts)
        return nn.Sequential(nn.Conv2d(3, 4, 3), pool, nn.Conv2d(4, 5, 1))

    plan = apply_tli(net(True), net(False), example=torch.randn(1, 3, 9, 9))
    assert all(step.exact for step in plan.steps) == alike


class Posterior(nn.Module):
    """An encoder of means and logarithms of variances, of which the mean alone is decoded, or a deviation as well."""

    def __init__(self, deviation: str) -> None:
        super().__init__()
        self.deviation, self.encode, self.decode = deviation, nn.Linear(3, 8), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance = self.encode(x).chunk(2, -1)
        if self.deviation:
            deviation = torch.exp(0.5 * torch.clamp(variance, -30.0, 20.0))
            mean = mean + deviation if self.deviation == "read" else mean
        return self.decode(mean)


@pytest.mark.parametrize(("deviation", "exact"), [("", True), ("made", True), ("read", False)])
def test_numbers_in_code_of_which_nothing_is_read_do_not_count(deviation: str, exact: bool) -> None:
    source, target = randomised(Posterior(""), 1), randomised(Posterior(deviation), 2)
    plan = apply_tli(target, source, example=torch.zeros(2, 3), options=Options(method="maps"))
    assert promises(plan) == exact


@pytest.mark.parametrize(("factor", "kept"), [(2.0, True), (3.0, False)])
def test_what_is_enlarged_by_a_factor_may_have_another_size(factor: float, kept: bool) -> None:
    target, small = Enlarging(1, factor), torch.zeros(1, 1, 16, 16)
    plan = apply_tli(target, Enlarging(3), example=small, options=Options(method="maps", head="keep"))
    doubted = [step.reason for step in plan.steps if "upsample" in step.reason]
    assert bool(doubted) is not kept
