"""What a fit is worth: what can be read from the fitted target, on inputs that it was not fitted on."""

from __future__ import annotations

import pytest
import torch

from tests.models import ResNet, randomised
from tli_cli import api
from tli_cli.fitting import work
from tli_cli.fitting.worth import readable
from tli_cli.options import Options


def test_what_is_read_is_the_share_of_the_variance_that_a_linear_map_explains():
    torch.manual_seed(0)
    values = torch.randn(600, 8, dtype=torch.float64)
    mixed = 3 + values @ torch.randn(8, 12, dtype=torch.float64)
    assert readable(mixed, values, 200) > 0.98
    assert readable(values[:, :2].repeat(1, 6), values, 200) == pytest.approx(0.25, abs=0.05)
    assert readable(torch.randn_like(mixed), values, 200) < 0.05


@pytest.mark.parametrize("collapsed", [False, True])
def test_a_fit_that_follows_one_channel_of_the_source_is_not_kept(tmp_path, monkeypatch, collapsed):
    monkeypatch.setattr(work, "IMAGES", 64)
    monkeypatch.setattr(work, "STEPS", 75)
    if collapsed:
        one = lambda value, dim, *_args, **_kwargs: value[:, :1].expand(-1, 6 if value.shape[1] == 8 else 12, -1, -1)  # noqa: E731
        monkeypatch.setattr("tli_cli.fitting.carry_out.apply_expression", one)
    path = tmp_path / "source.pt"
    torch.save(randomised(ResNet(width=8)).float().state_dict(), path)
    options = Options(source_arch="tests.models:ResNet?width=8", input_shape=(3, 8, 8))
    report = api.inject(
        str(path), "tests.models:ResNet?width=6&classes=7", str(tmp_path / "out.safetensors"), options=options
    )
    assert any("tells no more of what its source computes" in said for said in report.warnings) == collapsed
