"""Recording what constructors do, and replaying it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tli_cli.catalogue.computed import computed_values, exactly
from tli_cli.catalogue.record import COMPUTED, Recorder, initial_values
from tli_cli.initial import default_initial, replay


def recorded(make):
    with torch.device("meta"), Recorder() as recorder:
        tensor = make()
    return initial_values(recorder, {"it": tensor})["it"]


def _filled_in_part():
    weight = nn.Parameter(torch.zeros(4, 6))
    with torch.no_grad():
        weight[1:3].fill_(2.0)
        weight[:, 4].normal_(0.0, 0.5)
        weight[3].view(2, 3).uniform_(-1.0, 1.0)
    return weight


def _overwritten():
    weight = torch.empty(3)
    weight.normal_(0, 1).mul_(2.0)
    return weight.zero_().add_(1.5)


def _copied():
    weight = torch.empty(5)
    weight.data.copy_(torch.ones(5) * 3.0)
    return weight


CASES = {
    "normal": (lambda: nn.init.normal_(torch.empty(3, 4), 0.0, 0.02), (("normal_", 0.0, 0.02),)),
    "orthogonal": (lambda: nn.init.orthogonal_(torch.empty(3, 4), 2.0), (("orthogonal_", 2.0),)),
    "truncated": (lambda: nn.init.trunc_normal_(torch.empty(3), std=0.5), (("trunc_normal_", 0.0, 0.5, -2.0, 2.0),)),
    "scaled": (lambda: nn.Parameter(1e-5 * torch.ones(4)), (("fill_", 1.0), ("mul_", 1e-5))),
    "drawn": (lambda: nn.Parameter(torch.randn(2, 3) * 0.02), (("normal_", 0.0, 1.0), ("mul_", 0.02))),
    "overwritten": (_overwritten, (("zero_",), ("add_", 1.5))),
    "copied": (_copied, (("fill_", 1.0), ("mul_", 3.0))),
    "clamped": (lambda: torch.zeros(3).clamp_(min=0.5, max=2.0), (("zero_",), ("clamp_", 0.5, 2.0))),
    "parts": (
        _filled_in_part,
        (
            ("zero_",),
            ("at", ((1, 3), (0, 6)), "fill_", 2.0),
            ("at", ((0, 4), (4, 5)), "normal_", 0.0, 0.5),
            ("at", ((3, 4), (0, 6)), "uniform_", -1.0),
        ),
    ),
    "computed": (lambda: torch.arange(4).cumsum(0), COMPUTED),
    "literal": (lambda: nn.Parameter(torch.tensor(5.0)), COMPUTED),
}


@pytest.mark.parametrize("case", CASES)
def test_operations_are_recorded(case):
    make, expected = CASES[case]
    assert recorded(make) == expected


def test_the_modes_leave_the_initialisers_as_they_were():
    before = nn.init.orthogonal_, nn.init._no_grad_trunc_normal_
    recorded(lambda: torch.zeros(2))
    assert (nn.init.orthogonal_, nn.init._no_grad_trunc_normal_) == before


@pytest.mark.parametrize(
    "operations",
    [CASES["parts"][1], CASES["truncated"][1], CASES["drawn"][1], (("uniform_", -1.0), ("erfinv_",), ("mul_", 0.02))],
)
def test_replay_depends_on_seed_and_name_alone(operations):
    first = replay(operations, (4, 6), "float32", 0, "a")
    replay((("normal_", 0.0, 1.0),), (100,), "float32", 0, "b")
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(replay(operations, (4, 6), "float32", 0, "a"), first)
    finally:
        torch.set_num_threads(threads)
    assert not torch.equal(replay(operations, (4, 6), "float32", 0, "b"), first)
    assert not torch.equal(replay(operations, (4, 6), "float32", 1, "a"), first)


def test_replay_computes_in_float32_and_casts():
    wide = replay((("normal_", 0.0, 1.0),), (64,), "float32", 3, "w")
    assert torch.equal(replay((("normal_", 0.0, 1.0),), (64,), "bfloat16", 3, "w"), wide.to(torch.bfloat16))
    assert replay((("zero_",),), (), "int64", 0, "n").dtype == torch.int64


def test_parts_are_filled_apart():
    made = replay(CASES["parts"][1], (4, 6), "float32", 0, "w")
    assert (made[1:3, :4] == 2).all()
    assert (made[0, :4] == 0).all()
    assert made[3].unique().numel() == 6


def test_truncated_values_stay_within_their_bounds():
    made = replay((("trunc_normal_", 0.0, 1.0, -0.5, 0.25),), (10_000,), "float32", 0, "w")
    assert made.min() >= -0.5
    assert made.max() <= 0.25
    assert made.std() == pytest.approx(0.21, abs=0.02)


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(12).reshape(3, 4) ** 2 - 5,
        torch.linspace(-1, 1, 7),
        torch.tensor([True, False]),
        torch.tensor(3.5),
        torch.full((2, 2), 4),
        torch.eye(3),
        torch.zeros(4, dtype=torch.int64),
    ],
    ids=str,
)
def test_computed_values_are_kept_exactly(value):
    kind = str(value.dtype).removeprefix("torch.")
    assert torch.equal(replay(exactly(value), value.shape, kind, 0, "x"), value)


class _Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.big = nn.Parameter(torch.empty(2000, 2000).normal_())
        self.register_buffer("table", torch.arange(6).reshape(2, 3))
        self.mixed = nn.Parameter(torch.cat([torch.zeros(500), torch.randn(500) + 2]))


def test_values_are_computed_without_filling_what_is_drawn():
    values = computed_values(_Odd, ["table", "mixed"], ["mixed"])
    assert torch.equal(replay(values["table"], (2, 3), "int64", 0, "t"), torch.arange(6).reshape(2, 3))
    ((name, mean, _),) = values["mixed"]
    assert name == "normal_"
    assert mean == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("conv", nn.Conv2d(12, 40, 3)),
        ("linear", nn.Linear(50, 60)),
        ("embedding", nn.Embedding(300, 20)),
        ("norm", nn.BatchNorm2d(8)),
        ("norm", nn.LayerNorm(8)),
    ],
    ids=str,
)
def test_defaults_are_those_of_torch(kind, layer):
    for role, tensor in layer.state_dict().items():
        if kind in ("conv", "linear") and role == "bias":
            continue
        made = replay(default_initial(kind, role, tensor.shape), tensor.shape, "float32", 0, role)
        assert made.mean() == pytest.approx(float(tensor.float().mean()), abs=0.1)
        if tensor.numel() > 100:
            assert made.std() == pytest.approx(float(tensor.std()), rel=0.15)
        else:
            assert torch.equal(made, tensor.float())
