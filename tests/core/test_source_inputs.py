"""A source's own class may take another input than the target's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

from tli_cli import Options, TliError, apply_tli, inject, match
from tli_cli.cli.app import app


class Net(nn.Module):
    """Flattens maps of one size: it runs on no other input than its own."""

    def __init__(self, channels: int = 1, side: int = 6) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.hidden, self.fc = nn.Linear(8 * (side // 2) ** 2, 16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.norm(self.first(x)).relu(), 2)
        return self.fc(self.hidden(x.flatten(1)).relu())


GREY, COLOUR = f"{__file__}:Net", f"{__file__}:Net(channels=3,side=8)"


def test_each_side_is_traced_with_its_own_input(tmp_path: Path) -> None:
    grey = Net().eval()
    save_file(grey.state_dict(), tmp_path / "grey.safetensors")
    options = Options(source_arch=GREY, source_input_shape=(1, 6, 6), input_shape=(3, 8, 8))
    report = inject(str(tmp_path / "grey.safetensors"), COLOUR, tmp_path / "out.safetensors", options=options)
    assert not any("cannot be run" in note for note in report.plan.notes)
    colour = Net(3, 8).eval()
    colour.load_state_dict(load_file(tmp_path / "out.safetensors"))
    image = torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(colour.first(image.expand(-1, 3, -1, -1)), grey.first(image))


def test_one_shape_for_both_leaves_one_side_unrun() -> None:
    both = match(GREY, COLOUR, options=Options(input_shape=(3, 8, 8)))
    each = match(GREY, COLOUR, options=Options(input_shape=(3, 8, 8), source_input_shape=(1, 6, 6)))
    assert any("cannot be run" in note for note in both.notes)
    assert not any("cannot be run" in note for note in each.notes)


@pytest.mark.parametrize(("taken", "wanted", "kept"), [(3, 5, True), (1, 2, True), (3, 1, False), (6, 4, False)])
def test_features_in_a_row_are_no_colours(taken: int, wanted: int, kept: bool) -> None:
    source, target = (nn.Sequential(nn.Linear(size, 8), nn.ReLU(), nn.Linear(8, 2)) for size in (taken, wanted))
    plan = apply_tli(target, source, example=(torch.randn(2, wanted),), teacher_example=(torch.randn(2, taken),))
    both, (mine, theirs) = min(taken, wanted), (model[0].weight for model in (target, source))
    assert torch.equal(mine[:, :both], theirs[:, :both]) and not mine[:, both:].any()
    assert all(step.exact for step in plan.steps) is kept


def test_a_shape_that_is_none_is_refused() -> None:
    with pytest.raises(TliError, match="source_input_shape: expected a shape"):
        Options(source_input_shape=(0, 6))
    result = CliRunner().invoke(app, ["match", GREY, COLOUR, "--source-input-shape", "1,x"])
    assert result.exit_code == 2 and "--source-input-shape" in result.output
