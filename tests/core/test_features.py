"""Networks around the same features: detectors that sort boxes by value, features without a head, masks of windows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.test_feeders import MAPS, Pyramid, planned
from tests.models import ResNet, images, randomised
from tli_cli import TliError, apply_tli
from tli_cli.describe.tracing.trace import trace
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import NO_VALUES, Unit


class Detector(Pyramid):
    """A pyramid that sorts out by value what it finds, before its last layer or behind it, as no `meta` device can."""

    def __init__(self, early: bool = False) -> None:
        super().__init__()
        self.early, self.last = early, nn.Conv2d(7, 7, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = super().forward(x)
        found = tuple(map(self.last, found)) if not self.early else found
        return tuple(f for f in found if float(f.max()) > 0)


def test_a_model_that_fails_behind_its_last_layer_is_traced() -> None:
    traced = trace(Detector().to("meta"), (images().float().to("meta"),))
    assert traced.order_from == "trace" and traced.graph
    plan = apply_tli(randomised(Detector(), 2), randomised(ResNet(groups=1, per_group=4), 1), options=MAPS)
    inside = [step for step in plan.steps if step.target.startswith("body.")]
    assert all(step.action == "transfer" and step.exact for step in inside)


def test_a_model_that_fails_before_its_last_layer_is_not_traced() -> None:
    with pytest.raises(TliError, match="meta device"):
        trace(Detector(early=True).to("meta"), (images().float().to("meta"),))


class Headless(ResNet):
    """The features of a network whose head, and last activation, may be missing."""

    def __init__(self, pooled: bool = True, bent: bool = False) -> None:
        super().__init__(groups=1, per_group=4)
        self.pooled, self.bent = pooled, bent
        del self.fc

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        x = x.mean((2, 3)) if self.pooled else x
        return torch.tanh(x) if self.bent else x


@pytest.mark.parametrize("pooled", [True, False])
def test_features_without_a_head_are_those_of_the_network(pooled: bool) -> None:
    plan = planned(ResNet(groups=1, per_group=4), Headless(pooled))
    assert all(step.exact for step in plan.steps) and set(plan.unused) == {"fc.weight", "fc.bias"}


def test_features_behind_another_activation_are_not() -> None:
    assert not all(step.exact for step in planned(ResNet(groups=1, per_group=4), Headless(bent=True)).steps)


class Attention(nn.Module):
    """Heads over queries, keys and values made apart or by one layer, masked by numbers written in code or not."""

    def __init__(self, fused: bool, masked: bool = False) -> None:
        super().__init__()
        self.fused, self.masked = fused, masked
        self.first, self.out, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        if fused:
            self.qkv = nn.Linear(8, 24)
        else:
            self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        q, k, v = self.qkv(x).chunk(3, -1) if self.fused else (self.q(x), self.k(x), self.v(x))
        scores = (q @ k.mT) * 0.25
        if self.masked:
            mask = torch.zeros(5, 5, dtype=x.dtype, device=x.device)
            mask[:, 3:] = -100.0
            scores = scores + mask
        return self.head(x + self.out(scores.softmax(-1) @ v))


@pytest.mark.parametrize("fused", [True, False])
def test_what_one_layer_makes_is_what_three_make(fused: bool) -> None:
    source, target = Attention(fused), Attention(not fused)
    plan = apply_tli(
        randomised(target, 2), randomised(source, 1), example=(torch.randn(2, 5, 6).double(),), options=MAPS
    )
    assert all(step.exact for step in plan.steps)


@pytest.mark.parametrize("masked", [True, False])
def test_a_mask_that_is_written_part_by_part_is_none_of_one_number(masked: bool) -> None:
    source, target = Attention(True, masked), Attention(True, not masked)
    plan = apply_tli(
        randomised(target, 2), randomised(source, 1), example=(torch.randn(2, 5, 6).double(),), options=MAPS
    )
    assert not plan.by_target["out.weight"].exact


class Decoded(ResNet):
    """A network with a narrower residual block of the same form behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.neck, self.decoder = nn.Conv2d(16, 4, 1), ResNet(width=4, depth=1).layer1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3))), self.decoder(self.neck(x))  # type: ignore[return-value]


def test_a_narrower_block_behind_a_network_that_is_held_whole_is_not_fed_from_it() -> None:
    for step in planned(ResNet(), Decoded()).steps:
        around = step.target.startswith(("neck", "decoder"))
        assert step.action == ("keep" if around else "transfer") and step.exact != around


def test_a_depthwise_kernel_is_not_like_a_matrix() -> None:
    depthwise = Unit(0, "conv", "conv", (8, 1), (3, 3), "grouped")
    assert unit_similarity(depthwise, Unit(0, "fc", "dense", (8, 8))) == 0
    assert unit_similarity(Unit(0, "conv", "conv", (8, 8), (3, 3)), Unit(0, "fc", "dense", (8, 8))) > 0


def test_a_table_is_not_fed_from_what_picks_its_rows() -> None:
    table, index = Unit(0, "table", "other", (2, 7, 7)), Unit(0, "index", "other", (16, 16), flavour=NO_VALUES)
    assert unit_similarity(table, index) == 0 < unit_similarity(index, index)


class Patches(nn.Module):
    """Patches of an image with zeros around it or without, and a head."""

    def __init__(self, padding: int = 0) -> None:
        super().__init__()
        self.patch, self.head = nn.Conv2d(3, 8, 4, 4, padding=padding), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.patch(x).mean((2, 3)))


@pytest.mark.parametrize("padding", [0, 2])
def test_patches_cut_at_other_places_are_not_exact(padding: int) -> None:
    step = planned(Patches(padding), Patches(2 - padding)).by_target["patch.weight"]
    assert not step.exact and "around the input" in step.reason
    assert all(step.exact for step in planned(Patches(padding), Patches(padding)).steps)
