"""What a network gives last may be features, which grow with it; classes start afresh where they are others."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tli_cli import apply_tli
from tli_cli.api import match


class Pooled(nn.Module):
    """A network that gives features of its first token, or classes of them."""

    def __init__(self, width: int, classes: int = 0) -> None:
        super().__init__()
        self.embed = nn.Linear(6, width)
        self.norm = nn.LayerNorm(width)
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})
        self.classifier = nn.Linear(width, classes) if classes else nn.Identity()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.embed(tokens))
        return self.classifier(torch.tanh(self.pooler["dense"](hidden[:, 0])))


def test_features_grow_with_the_network():
    torch.manual_seed(0)
    source, target = Pooled(8).double().eval(), Pooled(16).double().eval()
    tokens = torch.randn(2, 3, 6, dtype=torch.float64)
    apply_tli(target, source, example=(torch.randn(2, 3, 6),))
    given, wanted = target(tokens), source(tokens)
    assert all(min((column - other).abs().max() for other in wanted.T) < 1e-6 for column in given.T)


@pytest.mark.parametrize("classes", [False, True])
def test_files_of_them_do_so_too(classes, tmp_path):
    for name, width in (("old", 8), ("new", 16)):
        save_file(Pooled(width, classes and width // 2).state_dict(), tmp_path / f"{name}.safetensors")
    steps = match(str(tmp_path / "old.safetensors"), str(tmp_path / "new.safetensors")).by_target
    assert steps["pooler.dense.weight"].action == "transfer"
    assert not classes or steps["classifier.weight"].action == "keep"


@pytest.mark.parametrize("end", [nn.ReLU(), nn.Sequential(nn.GELU(), nn.MaxPool2d(2))], ids=["relu", "gelu and pool"])
def test_a_part_of_a_network_that_ends_in_rectified_maps_gives_features_and_grows(end: nn.Module) -> None:
    def part(width: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, 2 * width, 3), end)

    plan = apply_tli(part(8), part(4), example=(1, 3, 12, 12))
    assert plan.coverage == 1 and all(step.exact for step in plan.steps)


def test_scores_that_are_rectified_before_they_are_pooled_stay_classes() -> None:
    def network(classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )

    plan = apply_tli(network(7), network(5), example=(1, 3, 12, 12))
    assert {step.target for step in plan.steps if step.action == "keep"} == {"2.weight", "2.bias"}
