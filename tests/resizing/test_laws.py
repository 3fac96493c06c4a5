"""Laws that hold for every registered resizer."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tli_cli.errors import TliError
from tli_cli.resizing import RESIZERS

SHAPES = [
    ((8,), (5,)),
    ((5,), (8,)),
    ((), (3,)),
    ((3,), ()),
    ((6, 4), (9, 3)),
    ((8, 4, 3, 3), (6, 8, 5, 5)),
    ((8, 4, 5, 5), (12, 3, 3, 3)),
    ((8, 1, 3, 3), (16, 1, 7, 7)),
    ((4, 3, 2, 2, 2), (5, 4, 3, 1, 3)),
    ((8, 4, 1, 1), (6, 4)),
    ((6, 4), (8, 4, 3, 3)),
    ((1, 17, 8), (10, 6)),
    ((10, 6), (1, 17, 8)),
    ((6, 3, 4, 4), (5, 48)),
    ((5, 48), (6, 3, 4, 4)),
]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]

every_resizer = pytest.mark.parametrize("name", list(RESIZERS))
every_shape = pytest.mark.parametrize(("source", "target"), SHAPES)


def seeded(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(1), dtype=torch.float64).to(dtype)


def same_bytes(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


@every_resizer
@every_shape
def test_the_result_has_the_shape_and_only_finite_values(name, source, target):
    result = RESIZERS.get(name)(values(source), target, generator=seeded())
    assert tuple(result.shape) == target
    assert result.is_contiguous()
    assert torch.isfinite(result).all()


@every_resizer
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dtype_is_kept(name, dtype):
    result = RESIZERS.get(name)(values((8, 4, 3, 3), dtype), (6, 8, 5, 5), generator=seeded())
    assert result.dtype == dtype


@every_resizer
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_equal_shape_is_returned_untouched(name, dtype):
    tensor = values((8, 4, 3, 3), dtype)
    tensor[0, 0, 0, 0] = float("nan")
    tensor[0, 0, 0, 1] = -0.0
    before = tensor.view(torch.uint8).clone()
    result = RESIZERS.get(name)(tensor, (8, 4, 3, 3), generator=seeded(), initial=torch.zeros(8, 4, 3, 3))
    assert torch.equal(result.view(torch.uint8), before)


@every_resizer
@every_shape
def test_the_same_seed_gives_the_same_bytes(name, source, target):
    resizer = RESIZERS.get(name)
    assert same_bytes(
        resizer(values(source), target, generator=seeded()), resizer(values(source), target, generator=seeded())
    )


@every_resizer
@every_shape
def test_arguments_are_not_written_to_nor_shared(name, source, target):
    tensor, initial = values(source), torch.randn(target, generator=seeded(2))
    kept, kept_initial = tensor.clone(), initial.clone()
    RESIZERS.get(name)(tensor, target, generator=seeded(), initial=initial).fill_(9.0)
    assert torch.equal(tensor, kept)
    assert torch.equal(initial, kept_initial)


@every_resizer
@every_shape
def test_values_that_differ_do_not_become_one_constant(name, source, target):
    if min(torch.Size(source).numel(), torch.Size(target).numel()) < 2:
        pytest.skip("one value is a constant")
    result = RESIZERS.get(name)(values(source), target, generator=seeded())
    assert result.unique().numel() > 1


@every_resizer
@pytest.mark.parametrize("size", [3, 5, 13])
def test_a_positive_vector_stays_positive(name, size):
    variance = values((8,)).square() + 0.01
    assert (RESIZERS.get(name)(variance, (size,), generator=seeded()) > 0).all()


@every_resizer
def test_gradients_are_not_recorded(name):
    result = RESIZERS.get(name)(values((4, 4)).requires_grad_(), (6, 3), generator=seeded())
    assert not result.requires_grad


@every_resizer
def test_an_empty_target_is_empty_and_an_empty_source_is_refused(name):
    assert RESIZERS.get(name)(values((4, 4)), (0, 4), generator=seeded()).shape == (0, 4)
    with pytest.raises(TliError, match="empty"):
        RESIZERS.get(name)(torch.empty(0, 4), (4, 4), generator=seeded())


def test_listing_does_not_import_torch():
    code = "import sys; from tli_cli.resizing import RESIZERS; list(RESIZERS); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
