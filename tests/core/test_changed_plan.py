"""Plans that a person changed: what they leave unused is counted anew, by whatever they are carried out."""

from __future__ import annotations

import json

import torch
from torch import nn

from tests.models import randomised
from tli_cli import inject, match
from tli_cli.plan import Plan


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))


def test_what_a_changed_plan_leaves_unused_is_said(tmp_path):
    source, target = tmp_path / "source.pt", f"{__name__}:net"
    torch.save(randomised(net()).state_dict(), source)
    raw = json.loads(match(source, target).to_json())
    assert raw["unused"] == []
    for step in raw["steps"]:
        if step["target"].startswith("2."):
            step.update(action="keep", pieces=[])
    report = inject(source, target, tmp_path / "out.pt", plan=Plan.from_json(json.dumps(raw)))
    assert (report.exact, report.initialised) == (4, 2)
    assert report.plan.unused == ("2.weight", "2.bias")
    assert "changed by hand" in report.plan.notes[-1]
