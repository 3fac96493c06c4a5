"""A fresh head behind layers that nothing normalises: drawn smaller where they give large values."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tli_cli import api
from tli_cli.fitting.head_input import LARGE, SIZE
from tli_cli.options import Options

HERE = "tests.fitting.test_fresh_head"


class Net(nn.Module):
    """A convolution, a linear layer, `behind` it, and a head."""

    def __init__(self, classes: int, behind: nn.Module, width: int = 8) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, width, 3, 2), nn.Linear(9 * width, 12)
        self.behind, self.head = behind, nn.Linear(12, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.behind(self.fc(torch.relu(self.conv(x)).flatten(1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def plain(classes: int = 5, width: int = 8) -> nn.Module:
    return Net(classes, nn.Sequential(nn.ReLU(), nn.Dropout()), width)


def normed(classes: int = 5) -> nn.Module:
    return Net(classes, nn.Sequential(nn.LayerNorm(12), nn.ReLU()))


def bounded(classes: int = 5) -> nn.Module:
    return Net(classes, nn.Tanh())


def failing(classes: int = 5) -> nn.Module:
    """Return a network whose code fails where values are large."""

    class Checked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not x.is_meta and x.abs().max() > LARGE:
                raise RuntimeError("out of range")
            return x

    return Net(classes, nn.Sequential(nn.ReLU(), Checked()))


def injected(tmp_path, name: str, grown: float, classes: int = 7, **options):
    """Return the source's values, those of a target of another head, and the report; `grown` multiplies a layer."""
    torch.manual_seed(1)
    source = globals()[name]()
    source.fc.weight.data *= grown
    torch.save(source.state_dict(), tmp_path / "source.pt")
    given = Options(source_arch=f"{HERE}:{name}", input_shape=(3, 8, 8), force=True, **options)
    out = tmp_path / "out.safetensors"
    report = api.inject(str(tmp_path / "source.pt"), f"{HERE}:{name}?classes={classes}", str(out), options=given)
    return source, load_file(out), report


def head_std(tmp_path, *arguments, **options) -> float:
    return float(injected(tmp_path, *arguments, **options)[1]["head.weight"].std())


USUAL = 12**-0.5 / 3**0.5
"""The deviation of a head of 12 inputs, as its constructor draws it."""


def test_a_fresh_head_is_drawn_for_what_it_reads_and_all_else_stays_as_it_is(tmp_path):
    source, state, report = injected(tmp_path, "plain", 60.0)
    target = plain(classes=7).eval()
    target.load_state_dict(state)
    with torch.no_grad():
        size = float(target.features(torch.randn(256, 3, 8, 8)).pow(2).mean().sqrt())
    assert size > LARGE
    assert float(state["head.weight"].std()) * size == pytest.approx(USUAL * SIZE, rel=0.6)
    assert all(torch.equal(state[key], value) for key, value in source.state_dict().items() if "head" not in key)
    assert any("head.weight is drawn" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("name", "grown", "options"),
    [
        ("plain", 1.0, {}),
        ("plain", 1e6, {}),
        ("normed", 60.0, {}),
        ("bounded", 60.0, {}),
        ("failing", 60.0, {}),
        ("plain", 60.0, {"method": "combo"}),
        ("plain", 60.0, {"method": "maps"}),
    ],
)
def test_it_is_drawn_as_usual_where_values_are_small_or_huge_or_of_one_size_or_something_else_was_asked(
    tmp_path, name, grown, options
):
    _, state, report = injected(tmp_path, name, grown, **options)
    assert float(state["head.weight"].std()) == pytest.approx(USUAL, rel=0.3)
    assert not any("is drawn" in warning for warning in report.warnings)


def test_a_head_that_is_fed_keeps_its_size(tmp_path):
    source, state, _ = injected(tmp_path, "plain", 60.0, classes=5)
    assert torch.equal(state["head.weight"], source.head.weight)
    assert head_std(tmp_path, "plain", 60.0, classes=5, head="fresh") < USUAL / 3


def test_a_plan_draws_it_alike_when_it_is_carried_out_again(tmp_path):
    _, state, report = injected(tmp_path, "plain", 60.0)
    again = tmp_path / "again.safetensors"
    given = Options(source_arch=f"{HERE}:plain", input_shape=(3, 8, 8))
    api.inject(str(tmp_path / "source.pt"), f"{HERE}:plain?classes=7", str(again), plan=report.plan, options=given)
    assert torch.equal(load_file(again)["head.weight"], state["head.weight"])
