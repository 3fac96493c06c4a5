"""A file of the target's own class, of which the catalogue knows the backbone alone, is read as one of that class."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from tli_cli import match


class Wrapped(nn.Module):
    """A published backbone, and pooling by attention and two heads of its own."""

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        self.backbone = timm.create_model("test_resnet", num_classes=0, global_pool="")
        width = self.backbone.num_features
        self.pool, self.head = nn.Linear(width, 1), nn.Linear(width, classes)
        self.aux = nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of both heads."""
        places = self.backbone(x).flatten(2).transpose(1, 2)
        pooled = (self.pool(places).softmax(1) * places).sum(1)
        return self.head(pooled), self.aux(pooled)


@pytest.mark.parametrize("classes", [6, 8])
def test_what_stands_beside_a_known_backbone_is_exact_too(tmp_path: Path, classes: int) -> None:
    torch.save({"model": Wrapped().state_dict(), "fold": 3}, tmp_path / "fold.pt")
    plan = match(str(tmp_path / "fold.pt"), f"{__file__}:Wrapped({classes})")
    assert plan.sources[0].origin.endswith(f"(like {__file__}:Wrapped({classes}))")
    fresh = {step.target for step in plan.steps if step.action == "keep"}
    assert fresh == (set() if classes == 6 else {"head.weight", "head.bias"})
    assert all(step.exact for step in plan.steps if step.target not in fresh)
