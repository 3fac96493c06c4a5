"""What each resizer does, on tensors small enough to read."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

from tli_cli.resizing import RESIZERS

LINE = torch.arange(1.0, 7.0)


def apply(name: str, tensor: torch.Tensor, *shape: int, initial: torch.Tensor | None = None) -> torch.Tensor:
    return RESIZERS.get(name)(tensor, shape, generator=torch.Generator().manual_seed(0), initial=initial)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("crop", [2, 3, 4, 5]),
        ("dpiat", [2, 3, 4, 5]),
        ("fna", [1, 2, 3, 4]),
        ("tile", [1, 2, 3, 4]),
        ("select", [1, 3, 4, 6]),
        ("magnitude", [3, 4, 5, 6]),
        ("resize", [1.25, 2.75, 4.25, 5.75]),
        ("combo", [1.8125, 2.9375, 4.0625, 5.1875]),
    ],
)
def test_shrinking(name, expected):
    assert apply(name, LINE, 4).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("crop", [0, 1, 2, 3, 0]),
        ("dpiat", [0, 1, 2, 3, 0]),
        ("fna", [1, 2, 3, 0, 0]),
        ("tile", [1, 2, 3, 1, 2]),
        ("select", [1, 1, 2, 3, 3]),
        ("magnitude", [1, 2, 3, 1, 2]),
        ("resize", [1, 1.4, 2, 2.6, 3]),
    ],
)
def test_growing_with_the_targets_start_at_zero(name, expected):
    assert apply(name, LINE[:3], 5, initial=torch.zeros(5)).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("source", "target"), [((4, 3, 3, 3), (4, 3, 5, 7)), ((4, 3, 7, 5), (4, 3, 3, 3))])
def test_resize_agrees_with_torch_on_kernels(source, target):
    tensor = torch.randn(source, generator=torch.Generator().manual_seed(0))
    expected = interpolate(tensor, target[2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(apply("resize", tensor, *target), expected)


def test_fna_puts_a_kernel_among_zeros_and_new_channels_at_zero():
    result = apply("fna", torch.ones(1, 1, 3, 3), 2, 1, 5, 5)
    assert result[0, 0, 1:4, 1:4].eq(1).all()
    assert result.sum() == 9


def test_magnitude_judges_inputs_by_the_outputs_that_were_kept():
    tensor = torch.tensor([[9.0, 1.0, 5.0], [0.0, 3.0, 0.0]])
    assert apply("magnitude", tensor, 1, 2).tolist() == [[9.0, 5.0]]


def test_a_linear_patch_embedding_becomes_a_convolution_and_back():
    tensor = torch.arange(2 * 12.0).reshape(2, 3, 2, 2)
    flat = apply("select", tensor, 2, 12)
    assert torch.equal(flat, tensor.flatten(1))
    assert torch.equal(apply("select", flat, 2, 3, 2, 2), tensor)
