"""Layers of one name and shape belong together where nearly all of one side have a namesake, whatever their order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
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


def features(prefix: str) -> dict[str, torch.Tensor]:
    """Return a network of three convolutions and a linear layer."""
    shapes = {"0": (8, 3, 8, 8), "2": (16, 8, 4, 4), "4": (16, 16, 3, 3), "7": (32, 64)}
    return {f"{prefix}net.{number}.weight": torch.randn(shape) for number, shape in shapes.items()}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("inner", [False, True])
def test_a_few_names_are_believed_where_nothing_else_has_their_shapes(suffix: str, inner: bool, tmp_path: Path) -> None:
    actor = {f"{head}.{i}.weight": torch.randn(32, 32) for head in ("actor", "critic") for i in (0, 2)}
    plain, policy = features("") | {"out.weight": torch.randn(10, 32)}, features("features.") | actor
    source, target = (plain, policy) if inner else (policy, plain)
    paths = [tmp_path / f"{name}{suffix}" for name in ("source", "target")]
    for path, state in zip(paths, (source, target), strict=True):
        torch.save(state, path) if suffix == ".pt" else save_file(state, path)
    plan = match(*map(str, paths), options=Options(method="maps"))
    for step in plan.steps:
        if "net." in step.target:
            taken = [piece.source.removeprefix("features.") for piece in step.pieces]
            assert step.exact and taken == [step.target.removeprefix("features.")]
        else:
            assert not step.exact
