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
