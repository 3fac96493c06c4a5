"""Types of floating numbers are read and rounded as torch does it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tli_cli.floats import STORED, convert, load, store

SHORT = [name for name, kind in STORED.items() if kind.startswith("u")]
REAL = [name for name, kind in STORED.items() if not kind.startswith("c")]


def patterns(dtype: str) -> np.ndarray:
    kind = np.dtype(STORED[dtype])
    return np.arange(1 << 8 * kind.itemsize, dtype=kind)


def as_torch(stored: np.ndarray, dtype: str) -> torch.Tensor:
    return torch.from_numpy(stored).view(getattr(torch, dtype))


def hard_numbers() -> np.ndarray:
    """Return float32 numbers of all sizes, and those on and beside the middle between two shorter ones."""
    draw = np.random.default_rng(0)
    any_bits = draw.integers(0, 1 << 32, 100_000, dtype=np.uint32).view(np.float32)
    usual = (draw.standard_normal(100_000) * 2.0 ** draw.integers(-30, 18, 100_000)).astype(np.float32)
    found = [any_bits, usual]
    with np.errstate(all="ignore"):
        for dtype in ("float16", "bfloat16"):
            known = as_torch(patterns(dtype), dtype).double().numpy()
            middle = ((known[:-1] + known[1:]) / 2).astype(np.float32)
            found += [middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf))]
    joined = np.concatenate(found)
    return joined[~np.isnan(joined)]


@pytest.mark.parametrize("dtype", SHORT)
def test_every_pattern_is_read_as_torch_reads_it(dtype):
    assert np.array_equal(
        load(patterns(dtype), dtype), as_torch(patterns(dtype), dtype).float().numpy(), equal_nan=True
    )


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("given", [np.float32, np.float64])
@np.errstate(all="ignore")
def test_every_number_is_rounded_as_torch_rounds_it(dtype, given):
    numbers = hard_numbers().astype(given)
    numbers = np.concatenate([numbers, numbers * given(1 + 1e-12)])
    expected = torch.from_numpy(numbers).to(getattr(torch, dtype))
    assert torch.equal(as_torch(store(numbers, dtype), dtype).view(torch.uint8), expected.view(torch.uint8))


@pytest.mark.parametrize("source", SHORT)
@pytest.mark.parametrize("target", REAL)
@np.errstate(all="ignore")
def test_types_turn_into_each_other_as_in_torch(source, target):
    expected = as_torch(patterns(source), source).float().to(getattr(torch, target)).double()
    found = as_torch(convert(patterns(source), source, target), target).double()
    assert torch.equal(found.nan_to_num(7.0), expected.nan_to_num(7.0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_nan_stays_nan(dtype):
    numbers = np.array([np.nan, -np.nan, 1.0], dtype=np.float32)
    numbers.view(np.uint32)[0] = 0x7FFF_FFFF
    assert as_torch(store(numbers, dtype), dtype).isnan().tolist() == [True, True, False]
