"""Tensors that stand in files in parts: put together to be read, cut again to be written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli.checkpoints import open_checkpoint, write_checkpoint
from tli_cli.checkpoints.in_files import InFiles, Part, names_in_files
from tli_cli.checkpoints.layouts.joined import joined
from tli_cli.checkpoints.writing.contents import content_of
from tli_cli.checkpoints.writing.job import Job
from tli_cli.injection.parted import Parted

SHAPE = (3, 4, 5)


def in_files(views: dict[str, torch.Tensor]) -> InFiles:
    parts = (Part(name, tuple(v.shape), v.storage_offset(), v.stride()) for name, v in views.items())
    return InFiles(SHAPE, tuple(parts))


def experts(whole: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return views of `whole` as a mixture's files have it: each expert's gate and up on their own."""
    return {f"e.{i}.{half}": part for i in range(3) for half, part in zip("gu", whole[i].chunk(2), strict=True)}


def turned(whole: torch.Tensor) -> dict[str, torch.Tensor]:
    return {f"e.{i}": whole[i].t() for i in range(3)}


def ends(whole: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"left": whole[..., :2], "right": whole[..., 2:]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("cut", [experts, turned, ends])
def test_what_is_cut_and_put_together_is_the_same(cut, dtype, tmp_path: Path) -> None:
    whole = torch.arange(60).reshape(SHAPE).to(dtype)
    views = cut(whole)
    layouts = {"e": in_files(views), "other": InFiles((2,), (Part("o", (2,), 0, (1,)),))}
    assert layouts["e"].is_complete and not layouts["e"].is_whole
    assert names_in_files(layouts) == {"other": "o"}
    save_file(
        {n: v.contiguous() for n, v in views.items()} | {"o": torch.ones(2), "p": torch.zeros(1)},
        tmp_path / "a.safetensors",
    )
    found = joined(open_checkpoint(tmp_path / "a.safetensors"), layouts)
    assert found is not None
    assert {spec.name: spec.shape for spec in found.tensors} == {"e": SHAPE, "other": (2,), "p": (1,)}
    assert torch.equal(found.read("e"), whole)
    assert found.file_range("e") is None and found.file_range("other") is not None
    parted = Parted(found.tensors, found.layouts, lambda spec: content_of(spec, found.read(spec.name)))
    write_checkpoint(tmp_path / "b.safetensors", parted.specs, Job(parted.produce))
    first, second = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_checkpoint_that_lacks_a_part_is_left_as_it_is(tmp_path: Path) -> None:
    views = experts(torch.zeros(SHAPE))
    layouts = {"e": in_files(views)}
    del views["e.1.u"]
    save_file({n: v.contiguous() for n, v in views.items()}, tmp_path / "a.safetensors")
    assert joined(open_checkpoint(tmp_path / "a.safetensors"), layouts) is None
    save_file({"e": torch.zeros(SHAPE)}, tmp_path / "b.safetensors")
    assert joined(open_checkpoint(tmp_path / "b.safetensors"), layouts) is None
