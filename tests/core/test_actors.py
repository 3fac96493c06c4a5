"""Small networks side by side, such as an actor and its critics, and what takes what they give."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tests.wild.disguise import disguised
from tli_cli import Options, apply_tli, match

MAPS = Options(method="maps")
EXAMPLE = (torch.randn(3, 4, dtype=torch.float64),)


def layers(taken: int, given: int, depth: int = 2) -> nn.Sequential:
    sizes = [taken, *[8] * depth]
    hidden = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*hidden, *([nn.Linear(8, given)] if given else []))


class Apart(nn.Module):
    """Two networks of one shape, and a head of each."""

    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.policy, self.value = layers(4, 0, depth), layers(4, 0, depth)
        self.action, self.worth = nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.action(self.policy(x)), self.worth(self.value(x))


def stored(model: nn.Module, path: Path) -> str:
    torch.save(model.state_dict(), path)
    return str(path)


@pytest.mark.parametrize("live", [True, False])
def test_networks_of_one_shape_are_told_by_their_names_where_they_grow_deeper(live: bool, tmp_path: Path) -> None:
    source, target = randomised(Apart(), 1), randomised(Apart(3), 2)
    if live:
        plan = apply_tli(target, source, example=EXAMPLE, options=MAPS)
    else:
        plan = match(stored(source, tmp_path / "a.pt"), stored(target, tmp_path / "b.pt"), options=MAPS)
    fed = {step.target: {piece.source for piece in step.pieces} for step in plan.steps}
    assert fed["value.0.weight"] == {"value.0.weight"} and fed["policy.0.weight"] == {"policy.0.weight"}
    assert fed["action.weight"] == {"action.weight"} and fed["worth.weight"] == {"worth.weight"}


class Together(nn.Module):
    """An actor whose actions are given and taken by two critics, beside what it takes itself."""

    def __init__(self, actions: int = 2) -> None:
        super().__init__()
        self.actor = layers(4, actions)
        self.critics = nn.Module()
        self.critics.q0, self.critics.q1 = layers(4 + actions, 1), layers(4 + actions, 1)
        self.slow = nn.Module()
        self.slow.q0, self.slow.q1 = layers(4 + actions, 1), layers(4 + actions, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        actions = self.actor(x).tanh()
        taken = torch.cat([x, actions], 1)
        critics = [self.critics.q0, self.critics.q1, self.slow.q0, self.slow.q1]
        return torch.cat([actions, *(critic(taken) for critic in critics)], 1)


def test_critics_are_held_as_often_whatever_they_are_called() -> None:
    source, target = randomised(Together(), 1), randomised(Together(), 2)
    disguised(source, Random(5), rename=True)
    apply_tli(target, source, example=EXAMPLE, options=MAPS)
    assert distance(source, target, EXAMPLE) == 0


def test_actions_that_others_take_are_no_features() -> None:
    source, target = randomised(Together(), 1), randomised(Together(3), 2)
    plan = apply_tli(target, source, example=EXAMPLE, options=MAPS)
    fresh = {step.target for step in plan.steps if not step.pieces}
    assert fresh == {"actor.4.weight", "actor.4.bias"} and not promises(plan)


class Returned(nn.Module):
    """An actor that gives its actions and whose critic takes them, with an average of it that no code runs."""

    def __init__(self, actions: int = 2) -> None:
        super().__init__()
        self.actor, self.actor_target = layers(4, actions), layers(4, actions)
        self.critic = layers(4 + actions, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        actions = self.actor(x).tanh()
        return actions, self.critic(torch.cat([x, actions], 1))


def test_actions_that_are_given_between_bounds_and_taken_are_no_features() -> None:
    source, target = randomised(Returned(), 1), randomised(Returned(3), 2)
    plan = apply_tli(target, source, example=EXAMPLE, options=MAPS)
    fresh = {step.target for step in plan.steps if not step.pieces}
    assert fresh == {f"{actor}.4.{role}" for actor in ("actor", "actor_target") for role in ("weight", "bias")}


class Shortcut(nn.Module):
    """Classes that a last block with a shortcut takes and gives."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.rise = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, classes, 1)
        self.last = nn.Conv2d(classes, classes, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.rise(self.first(x).relu()).relu()
        return x + self.last(x)


def test_classes_behind_a_shortcut_start_afresh() -> None:
    source, target = randomised(Shortcut(2), 1), randomised(Shortcut(5), 2)
    plan = apply_tli(target, source, example=(torch.randn(1, 3, 8, 8),), options=MAPS)
    fed = {step.target for step in plan.steps if step.pieces}
    assert fed == {"first.weight", "first.bias"} and plan.relation == "adapted"


@pytest.mark.parametrize("name", ["log_std", "dt_bias", "A_log"])
def test_a_vector_of_a_file_that_nothing_calls_a_scale_keeps_its_value(name: str, tmp_path: Path) -> None:
    source, target = layers(4, 3), layers(4, 3)
    target.register_parameter(name, nn.Parameter(torch.full((3,), 0.4)))
    plan = match(stored(source, tmp_path / "a.pt"), stored(target, tmp_path / "b.pt"), options=MAPS)
    step = plan.by_target[name]
    assert step.initial == "target" and not step.exact


class Agent(nn.Module):
    """An actor and its critics, each with a slow copy, of which `forward` runs the actor alone."""

    def __init__(self, critics: int) -> None:
        super().__init__()
        self.actor, self.actor_target = layers(4, 2), layers(4, 2)
        self.critic, self.critic_target = (
            nn.ModuleDict({f"qf{i}": layers(6, 1) for i in range(critics)}) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.actor(x)


@pytest.mark.parametrize(("source", "target"), [(2, 1), (1, 2)])
def test_critics_that_no_code_runs_go_by_their_names(source: int, target: int, tmp_path: Path) -> None:
    given, wanted = randomised(Agent(source), 1), randomised(Agent(target), 2)
    plan = apply_tli(wanted, torch.load(stored(given, tmp_path / "a.pt")), example=EXAMPLE, options=MAPS)
    fed = {step.target: [piece.source for piece in step.pieces] for step in plan.steps if step.pieces}
    assert all(sources == [name] for name, sources in fed.items() if name in given.state_dict())
    assert set(fed) >= set(given.state_dict()) & set(wanted.state_dict())
