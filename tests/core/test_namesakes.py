"""Layers of one name and shape belong together where nearly all of one side have a namesake, whatever their order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.equivalence.harness import build, reference, save
from tli_cli import Options, apply_tli, match
from tli_cli.plan import Plan


def strangers(plan: Plan, prefix: str = "") -> dict[str, str]:
    """Return what feeds tensors and has not their names, but for what stands before all of these."""
    fed = {step.target: step.pieces[0].source for step in plan.steps if step.action == "transfer"}
    return {name: source for name, source in fed.items() if source != f"{prefix}{name}"}


@pytest.mark.parametrize("bare", [False, True])
def test_a_network_of_the_same_names_that_holds_more_feeds_each_layer_by_its_name(bare: bool, tmp_path: Path) -> None:
    source = save(build("elsewhere:wavlm"), tmp_path / "source.safetensors")
    target = str(save(build("elsewhere:hubert"), tmp_path / "target.pt")) if bare else reference("elsewhere:hubert")
    plan = match(str(source), target)
    assert not strangers(plan) and all(step.action == "transfer" for step in plan.steps)


def test_an_encoder_takes_its_last_norm_from_the_encoder(tmp_path: Path) -> None:
    plan = match(reference("elsewhere:t5"), reference("hf_more:t5_gated"))
    assert not strangers(plan)


def test_a_classifier_of_three_layers_does_not_hide_that_all_others_have_a_namesake(tmp_path: Path) -> None:
    def features(prefix: str) -> dict[str, torch.Tensor]:
        layers = [nn.Conv2d(3, 8, 3), *(nn.Conv2d(8, 8, 3) for _ in range(11))]
        return {f"{prefix}{n}": t for n, t in nn.Sequential(*layers).state_dict().items()}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 8, 3), *(nn.Conv2d(8, 8, 3) for _ in range(11)))
            self.classifier = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(self.features(x).mean((2, 3)))

    decoder = {f"decoder.{i}.weight": torch.randn(8, 8, 3, 3) for i in range(6)}
    held = {**features("encoder.features."), **decoder}
    plan = apply_tli(Net(), held, example=(2, 3, 32, 32), options=Options(method="maps"))
    body = [step for step in plan.steps if step.target.startswith("features.")]
    assert all(step.pieces[0].source == f"encoder.{step.target}" for step in body)
