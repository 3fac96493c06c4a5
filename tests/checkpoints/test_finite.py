from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tli_cli.checkpoints import open_checkpoint, write_checkpoint
from tli_cli.checkpoints.finite import is_finite
from tli_cli.checkpoints.writing.job import Job

BYTE_NAMES = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
BYTE_TYPES = [getattr(torch, name) for name in BYTE_NAMES if hasattr(torch, name)]
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]


def finite(tmp_path: Path, values: torch.Tensor) -> bool:
    torch.save({"a": values}, tmp_path / "a.pt")
    piece = open_checkpoint(tmp_path / "a.pt").file_range("a")
    assert piece is not None
    return is_finite(piece, str(values.dtype)[6:])


@pytest.mark.parametrize("dtype", BYTE_TYPES)
def test_every_pattern_of_eight_bits_is_judged_as_torch_does(tmp_path: Path, dtype: torch.dtype) -> None:
    patterns = torch.arange(256, dtype=torch.uint8)
    expected = patterns.view(dtype).to(torch.float32).isfinite()
    assert bool(expected.all()) is False
    assert finite(tmp_path, patterns[expected].view(dtype))
    for pattern in patterns[~expected]:
        assert not finite(tmp_path, torch.tensor([0, int(pattern), 0], dtype=torch.uint8).view(dtype))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_value_at_the_end_of_many_is_found(tmp_path: Path, dtype: torch.dtype, value: float) -> None:
    values = torch.randn(600_001).to(dtype)
    limit = torch.finfo(dtype)
    values[0], values[1] = limit.max, limit.tiny
    assert finite(tmp_path, values)
    values[-1] = value
    assert not finite(tmp_path, values)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_what_is_no_float_is_finite(tmp_path: Path, dtype: torch.dtype) -> None:
    assert finite(tmp_path, torch.ones(3).to(dtype))
    assert finite(tmp_path, torch.ones(0, 3))


def test_a_written_file_is_judged_the_same(tmp_path: Path) -> None:
    from tli_cli.architecture import TensorSpec

    values = torch.tensor([1.0, float("nan")])
    write_checkpoint(tmp_path / "a.safetensors", [TensorSpec("a", (2,))], Job(lambda _: values))
    assert not is_finite(open_checkpoint(tmp_path / "a.safetensors").file_range("a"), "float32")  # type: ignore[arg-type]
