"""What is built around a network takes it whole, norms that are frozen and stems of several layers among it, and its
head takes nothing of channels that are not its own."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from tli_cli import Options, apply_tli


class Frozen(nn.Module):
    """A batch norm written out as a scale and a shift, as detectors freeze it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((width,), value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        return x * scale[None, :, None, None] + (self.bias - self.running_mean * scale)[None, :, None, None]


def conv(inner: int, outer: int, norm: type[nn.Module], stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1, bias=False), norm(outer), nn.ReLU())


class Block(nn.Module):
    def __init__(self, width: int, norm: type[nn.Module], project: bool) -> None:
        super().__init__()
        self.first, self.second = conv(width, width, norm), conv(width, width, norm)
        self.skip = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), norm(width)) if project else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)) + self.skip(x)


class Net(nn.Module):
    def __init__(self, norm: type[nn.Module], decoder: bool) -> None:
        super().__init__()
        self.one, self.two, self.three = conv(3, 8, norm, 2), conv(8, 8, norm), conv(8, 16, norm)
        self.blocks = nn.Sequential(Block(16, norm, project=decoder), Block(16, norm, project=False))
        self.lateral = nn.Conv2d(16, 12, 1) if decoder else None
        self.head = nn.Conv2d(12, 5, 1) if decoder else nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.three(self.two(self.one(x))))
        return self.head(x.mean((2, 3)) if self.lateral is None else self.lateral(x).relu())


@pytest.mark.parametrize("into_decoder", [True, False])
def test_a_stem_of_several_layers_and_its_norms_arrive_whole(into_decoder: bool) -> None:
    nets = Net(nn.BatchNorm2d, decoder=False), Net(Frozen, decoder=True)
    source, target = nets if into_decoder else nets[::-1]
    plan = apply_tli(target, source, example=torch.randn(1, 3, 16, 16), options=Options(method="maps"))
    shared = {
        n for n in source.state_dict().keys() & target.state_dict().keys() if not n.startswith(("head", "lateral"))
    }
    for name in shared:
        step = plan.by_target[name]
        assert (step.resizer, step.pieces[0].source) == ("copy", name)
    assert all(plan.by_target[name].exact for name in shared if not name.startswith("blocks"))
    assert all(plan.by_target[name].action == "keep" for name in target.state_dict() if name.startswith("head"))


def plain(*widths: int, kernel: int = 3) -> nn.Sequential:
    made = ((nn.Conv2d(a, b, kernel, padding=kernel // 2), nn.ReLU()) for a, b in pairwise(widths))
    return nn.Sequential(*(layer for pair in made for layer in pair))


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = plain(3, 8, 8, 16, 16, 16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Around(nn.Module):
    """The same features, cut in two, with wider and narrower ones behind, and a head for each."""

    def __init__(self) -> None:
        super().__init__()
        self.features = plain(3, 8, 8)
        behind = (nn.Sequential(*plain(a, b, kernel=1), *plain(b, c)) for a, b, c in ((32, 8, 16), (16, 4, 8)))
        self.extra = nn.ModuleList([plain(8, 16, 16, 16, 32), *behind])
        self.heads = nn.ModuleList(nn.Conv2d(width, 12, 3, padding=1) for width in (32, 16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, found = self.features(x), []
        for extra, head in zip(self.extra, self.heads, strict=True):
            x = extra(x)
            found.append(head(x).flatten(1))
        return torch.cat(found, 1)


def test_what_is_added_behind_features_takes_no_layer_of_another_width_that_has_a_twin() -> None:
    plan = apply_tli(Around(), Plain(), example=torch.randn(1, 3, 16, 16), options=Options(method="maps"))
    fed = {step.target: step.pieces[0].source for step in plan.steps if step.action == "transfer"}
    assert len(fed) == 10 and all(plan.by_target[name].resizer == "copy" for name in fed)
