from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tli_cli import catalogue
from tli_cli.architecture import Architecture
from tli_cli.cli import run

Tli = Callable[..., tuple[str, str]]

SMALL = ("timm:mobilenetv3_small_050", "timm:mobilenetv3_small_075", "timm:resnet10t", "timm:vit_tiny_patch16_224")
"""Small networks of several families."""

MIXED = (*SMALL, "resnet18", "resnet34", "timm:resnet18", "timm:resnet18d", "timm:resnet26", "timm:convnext_atto")
"""Small networks, some of them alike: one under two names, one deeper, one with another stem."""

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "BOOL": 1}
DTYPES = {"float32": "F32", "float16": "F16", "int64": "I64", "bool": "BOOL"}


@pytest.fixture
def tli(capsys: pytest.CaptureFixture[str]) -> Tli:
    """Run `tli`, check its exit code, and return what it wrote to standard output and to standard error."""

    def call(*arguments: object, code: int = 0) -> tuple[str, str]:
        found = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return call


def matrix_of(text: str) -> tuple[list[str], list[list[float]]]:
    """Return names and values of what `tli score ... --json` printed."""
    value: dict[str, Any] = json.loads(text)
    assert value["version"] == 1
    return value["names"], value["matrix"]


def write_header(architecture: Architecture, path: Path, names: Callable[[str], str] = str) -> Path:
    """Write a safetensors file of `architecture` whose values are a hole in the file: nothing on disk, all zeros."""
    header: dict[str, dict[str, object]] = {}
    start = 0
    for spec in architecture.tensors:
        dtype = DTYPES[spec.dtype]
        stop = start + spec.size * SIZES[dtype]
        header[names(spec.name)] = {"dtype": dtype, "shape": list(spec.shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + start)
    return path


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with checkpoints of catalogue architectures, one of them in a folder below."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "below").mkdir()
    for name, place in (("resnet18", "a"), ("timm:resnet26", "below/b"), ("timm:mobilenetv3_small_050", "c")):
        write_header(catalogue.load(name), folder / f"{place}.safetensors")
    return folder
