"""Lists that code goes through side by side: what is fed from another place than what stands beside it is not exact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tli_cli import match


class Lists(nn.Module):
    """Layers and the norms before them, in two lists."""

    def __init__(self, depth: int, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Linear(8, width)
        self.body = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.head = nn.Linear(width, 5)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_layers_and_their_norms_come_from_one_place_or_are_not_exact(tmp_path: Path, depth: int) -> None:
    paths = [str(tmp_path / f"{name}.pt") for name in ("source", "target")]
    for path, members in zip(paths, (2, depth), strict=True):
        torch.save(Lists(members).state_dict(), path)
    plan = match(*paths)
    claimed: dict[str, set[str]] = {}
    for step in plan.steps:
        if step.exact and step.pieces and step.layer.startswith(("body", "norms")):
            claimed.setdefault(step.layer.split(".")[1], set()).add(step.pieces[0].source.split(".")[1])
    assert all(len(places) == 1 for places in claimed.values())
    assert depth > 2 or len(claimed) == 2


class Sampling(nn.Module):
    """An encoder and a decoder with as many stages, the decoder's counted in one of two ways."""

    def __init__(self, down: str, up: str, *, back: bool) -> None:
        super().__init__()
        widths = (8, 12, 16)
        self.stem = nn.Conv2d(3, 8, 3)
        pairs = list(zip((8, *widths), widths, strict=False))
        self.add_module(down, nn.ModuleList(nn.Conv2d(taken, made, 3) for taken, made in pairs))
        ups = [nn.Conv2d(made, taken, 3) for taken, made in pairs]
        self.add_module(up, nn.ModuleList(ups[::-1] if back else ups))


def test_a_decoder_counted_from_its_end_stands_behind_its_encoder_and_not_beside_it(tmp_path: Path) -> None:
    torch.save(Sampling("down", "up", back=False).state_dict(), tmp_path / "source.pt")
    torch.save(Sampling("down_blocks", "up_blocks", back=True).state_dict(), tmp_path / "target.pt")
    plan = match(str(tmp_path / "source.pt"), str(tmp_path / "target.pt"))
    fed = {step.target: step.pieces[0].source for step in plan.steps if step.exact and step.target.endswith("weight")}
    assert fed["up_blocks.0.weight"] == "up.2.weight" and fed["down_blocks.2.weight"] == "down.2.weight"
