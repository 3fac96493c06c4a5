"""Checkpoints that tensor parallelism cut: no part is taken for the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError

LAYOUTS = ["consolidated.{:02}.pth", "mp_rank_{:02}_model_states.pt", "mp_rank_{:02}/model_optim_rng.pt"]


def write(folder: Path, layout: str, parts: int) -> Path:
    for part in range(parts):
        path = folder / layout.format(part)
        path.parent.mkdir(exist_ok=True)
        torch.save({"module": {"a.weight": torch.ones(2, 3)}}, path)
    return folder / layout.format(0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_of_several_parts_is_refused(tmp_path: Path, layout: str) -> None:
    first = write(tmp_path, layout, 2)
    for named in (first, tmp_path):
        with pytest.raises(CheckpointError, match="cut in 2 parts"):
            open_checkpoint(named)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_part_alone_is_the_whole(tmp_path: Path, layout: str) -> None:
    first = write(tmp_path, layout, 1)
    for named in (first, tmp_path):
        assert [spec.name for spec in open_checkpoint(named).tensors] == ["a.weight"]
