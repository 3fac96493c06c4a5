from __future__ import annotations

from collections import OrderedDict

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def state() -> OrderedDict[str, torch.Tensor]:
    """A state dict with every odd but valid kind of entry."""
    torch.manual_seed(0)
    base = torch.randn(6, 4)
    return OrderedDict(
        [
            ("stem.weight", base),
            ("stem.bias", torch.randn(6, dtype=torch.float64)),
            ("norm.running_mean", torch.randn(6)),
            ("norm.num_batches_tracked", torch.tensor(7)),
            ("half", torch.randn(3, 3).half()),
            ("brain", torch.randn(5).bfloat16()),
            ("eight", torch.randn(4).to(torch.float8_e4m3fn)),
            ("mask", torch.tensor([True, False, True])),
            ("index", torch.arange(6).reshape(2, 3)),
            ("small", torch.arange(3, dtype=torch.uint8)),
            ("complex", torch.randn(3, dtype=torch.complex64)),
            ("empty", torch.empty(0, 3)),
            ("scalar", torch.tensor(2.5)),
            ("transposed", torch.randn(4, 6).t()),
            ("strided", torch.randn(8)[::2]),
            ("head.weight", base),
            ("parameter", torch.nn.Parameter(torch.randn(2))),
        ]
    )
