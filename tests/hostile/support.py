"""What the tests of writing share."""

from __future__ import annotations

from pathlib import Path

import torch

from tli_cli.architecture import TensorSpec

SPECS = tuple(TensorSpec(f"t{i}", (100,), "float32") for i in range(10))
OLD = b"what was there before"


def ones(spec: TensorSpec) -> torch.Tensor:
    return torch.ones(spec.shape)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def everything(directory: Path) -> dict[str, bytes]:
    """Return what is in the files of `directory` and of those below it."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
