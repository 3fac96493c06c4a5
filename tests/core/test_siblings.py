"""Bare files whose layers stand in another order than they are run in: names that both sides give decide."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from tli_cli import Options, apply_tli
from tli_cli.catalogue.libraries import import_timm
from tli_cli.matching.called import blocks_in_common, siblings_in_common
from tli_cli.matching.units import Unit


def ghost() -> nn.Module:
    rows = [[[3, 16, 16, 0, 1]], [[3, 48, 24, 0, 2]], [[3, 72, 24, 0, 1]]]
    return import_timm().models.ghostnet.GhostNet(rows, num_classes=5)


def joined(name: str) -> str:
    return re.sub(r"\.(\d+)\.", lambda found: f"_{int(found[1]) + 1}.", name)


def test_every_tensor_finds_its_own_under_other_names_in_another_order(tmp_path: Path) -> None:
    model = ghost()
    save_file({joined(n): t.clone() for n, t in ghost().state_dict().items()}, path := tmp_path / "source.safetensors")
    plan = apply_tli(model, path, example=torch.randn(1, 3, 32, 32), options=Options(method="maps"))
    given = {step.target: step.pieces[0].source for step in plan.steps if step.pieces}
    assert given == {name: joined(name) for name in model.state_dict()}


def norms(*paths: str) -> list[Unit]:
    return [Unit(place, path, "norm", (8,), block=path.rpartition(".")[0]) for place, path in enumerate(paths)]


def test_siblings_are_told_by_names_that_as_many_modules_of_both_sides_give() -> None:
    run, sorted_ = norms("a.0.norm1", "a.0.norm3", "a.0.norm2"), norms("b.x.norm1", "b.x.norm2", "b.x.norm3")
    mine, theirs = siblings_in_common(run, sorted_)
    assert [mine[unit.key] == theirs[unit.key] for unit in sorted_] == [True, False, False]
    assert mine[run[1].key] == theirs[sorted_[2].key] and all(mine.values())
    assert not any(siblings_in_common(run, norms("b.x.norm1", "b.x.norm2", "b.x.ln"))[0].values())
    assert not any(siblings_in_common(run, [*sorted_, *norms("c.norm1", "c.norm2", "c.norm3")])[0].values())


def test_blocks_are_told_by_paths_where_they_hold_the_same_shapes() -> None:
    first, second = norms("down.ffn", "blocks.mixer"), norms("blocks.mixer", "down.ffn")
    assert list(blocks_in_common(first, second)[0].values()) == ["down", "blocks"]
    assert list(blocks_in_common(first, norms("down.ffn", "down.more"))[0].values()) == ["", ""]
