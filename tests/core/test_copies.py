"""A network that one side holds several times: each copy takes what the first one takes, and one alone feeds others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.models import randomised
from tli_cli import Options, apply_tli, match
from tli_cli.architecture import TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.matching.sides import Side
from tli_cli.plan import Plan
from tli_cli.providers.module import describe_live

MAPS = Options(method="maps")
EXAMPLE = (2, 3, 16, 16)


class Net(nn.Module):
    def __init__(self, width: int = 8, head: int = 5) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(self.step(width, 3 if i == 0 else width, 2 if i % 3 else 1) for i in range(9)))
        self.head = nn.Linear(width, head)

    @staticmethod
    def step(width: int, taken: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(taken, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(x).mean((2, 3)))


class Towers(nn.Module):
    """Two networks for inputs of one kind, and what compares them."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.photo, self.sketch = Net(width), Net(width)
        self.compare = nn.Linear(10, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.compare(torch.cat((self.photo(x), self.sketch(y)), 1))


def made_of(plan: Plan) -> dict[str, list[str]]:
    return {step.target: [piece.source for piece in step.pieces] for step in plan.steps if step.exact}


def planned(source: nn.Module, target: nn.Module, how: str, folder: Path) -> Plan:
    if how == "live":
        examples = [(torch.randn(EXAMPLE),) * (1 + isinstance(model, Towers)) for model in (target, source)]
        return apply_tli(target, source, example=examples[0], teacher_example=examples[1], options=MAPS)
    for name, model in (("source", source), ("target", target)):
        if how == "pt":
            torch.save(model.state_dict(), folder / f"{name}.pt")
        else:
            save_file(model.state_dict(), folder / f"{name}.safetensors")
    return match(str(folder / f"source.{how}"), str(folder / f"target.{how}"), options=MAPS)


HOW = pytest.mark.parametrize("how", ["live", "pt", "safetensors"])


@HOW
def test_both_towers_take_all_of_one_network(how: str, tmp_path: Path) -> None:
    plan = planned(randomised(Net(head=7)), randomised(Towers()), how, tmp_path)
    found = made_of(plan)
    for name in Net().trunk.state_dict():
        assert found[f"photo.trunk.{name}"] == found[f"sketch.trunk.{name}"] == [f"trunk.{name}"]
    assert any("sketch holds the layers of photo again" in note for note in plan.notes)


@HOW
def test_one_of_two_towers_feeds_a_single_network(how: str, tmp_path: Path) -> None:
    found = made_of(planned(randomised(Towers()), randomised(Net(head=7)), how, tmp_path))
    for name in Net().trunk.state_dict():
        assert found[f"trunk.{name}"] == [f"photo.trunk.{name}"]


@HOW
def test_two_towers_feed_two_each_its_own(how: str, tmp_path: Path) -> None:
    plan = planned(randomised(Towers()), randomised(Towers()), how, tmp_path)
    assert made_of(plan) == {name: [name] for name in Towers().state_dict()}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_members_of_an_ensemble_are_copies_by_the_images_that_they_take(suffix: str, tmp_path: Path) -> None:
    net = randomised(Net()).state_dict()
    members = {f"members.{i}.{name}": tensor for i in range(2) for name, tensor in net.items()}
    paths = [tmp_path / f"{name}{suffix}" for name in ("source", "target")]
    for path, state in zip(paths, (net, members), strict=True):
        torch.save(state, path) if suffix == ".pt" else save_file({k: v.clone() for k, v in state.items()}, path)
    found = made_of(match(*map(str, paths), options=MAPS))
    assert found == {f"members.{i}.{name}": [name] for i in range(2) for name in net}


class Critics(nn.Module):
    """An actor, and a critic with its slow copy, of a few layers each."""

    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic, self.critic_target = self.net(5, 4), self.net(9, 1), self.net(9, 1)

    @staticmethod
    def net(taken: int, made: int) -> nn.Sequential:
        layers = nn.Linear(taken, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, made)
        return nn.Sequential(*layers)

    def forward(self, seen: torch.Tensor, done: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.actor(seen), self.critic(done), self.critic_target(done)


@pytest.mark.parametrize("several", ["source", "target"])
def test_a_critic_of_a_few_layers_is_found_beside_its_copy(several: str) -> None:
    critics, critic = randomised(Critics()), randomised(nn.Sequential(Critics.net(9, 1)))
    examples = (torch.randn(2, 5), torch.randn(2, 9)), (torch.randn(2, 9),)
    sides = ((critic, critics), examples) if several == "target" else ((critics, critic), examples[::-1])
    (source, target), (wanted, given) = sides
    found = made_of(apply_tli(target, source, example=wanted, teacher_example=given, options=MAPS))
    for name in critic[0].state_dict():
        if several == "target":
            assert found[f"critic.{name}"] == found[f"critic_target.{name}"] == [f"0.{name}"]
        else:
            assert found[f"0.{name}"] == [f"critic.{name}"]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_encoders_of_text_that_keep_the_width_are_copies_by_their_tables(suffix: str, tmp_path: Path) -> None:
    def encoder(prefix: str) -> dict[str, torch.Tensor]:
        layers = {f"layers.{i}.{name}": torch.randn(8, 8) for i in range(3) for name in ("q", "k", "v", "o")}
        return {
            f"{prefix}{name}.weight": tensor
            for name, tensor in {"token_embedding": torch.randn(20, 8), **layers}.items()
        }

    paths = [tmp_path / f"{name}{suffix}" for name in ("source", "target")]
    for path, state in zip(paths, (encoder("encoder."), encoder("question.") | encoder("context.")), strict=True):
        torch.save(state, path) if suffix == ".pt" else save_file(state, path)
    found = made_of(match(*map(str, paths), options=MAPS))
    for name in encoder(""):
        assert found[f"question.{name}"] == found[f"context.{name}"] == [f"encoder.{name}"]


class Stack(nn.Module):
    """Modules of nine layers each, in one row."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            self.add_module(name, nn.Sequential(*(nn.Linear(8, 8) for _ in range(9))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in self.children():
            x = module(x)
        return x


@pytest.mark.parametrize("names", [("encoder", "decoder"), ("part1", "part2")])
def test_modules_in_one_row_are_no_copies(names: tuple[str, ...]) -> None:

    model = Stack(*names)
    held = [TensorSpec(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    for described in (describe_live(model, (torch.randn(2, 8),)), describe_names(held)):
        assert not Side(described).copies


class Momentum(nn.Module):
    """A network and its average, which training moves and no code runs; what is run is defined last."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.average, self.online = Net(width), Net(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.online(x)


class Learner(nn.Module):
    """An actor and two critics of three layers each, with the targets of all, which no code runs."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.actor, self.actor_target = (self.layers(6, width, 2) for _ in range(2))
        self.q1, self.q2, self.q1_target, self.q2_target = (self.layers(8, width, 1) for _ in range(4))

    @staticmethod
    def layers(taken: int, width: int, given: int) -> nn.Module:
        sizes = ((taken, width), (width, width), (width, given))
        return nn.Sequential(*(layer for size in sizes for layer in (nn.Linear(*size), nn.Tanh())))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        taken = torch.cat((x, self.actor(x)), 1)
        return torch.minimum(self.q1(taken), self.q2(taken))


@pytest.mark.parametrize("width", [8, 16])
def test_an_average_that_no_code_runs_takes_what_its_network_takes(width: int) -> None:
    target = randomised(Momentum(width), 2)
    plan = planned(randomised(Net(head=7), 1), target, "live", Path())
    found, state = made_of(plan), target.state_dict()
    for name in Net().trunk.state_dict():
        assert found[f"online.trunk.{name}"] == found[f"average.trunk.{name}"] == [f"trunk.{name}"]
        assert torch.equal(state[f"online.trunk.{name}"], state[f"average.trunk.{name}"])
    assert any("average holds the layers of online again" in note for note in plan.notes)


@pytest.mark.parametrize("width", [16, 32])
def test_targets_of_critics_take_their_own(width: int) -> None:
    source, target = randomised(Learner(), 1), randomised(Learner(width), 2)
    plan = apply_tli(target, source, example=torch.randn(4, 6, dtype=torch.float64), options=MAPS)
    assert all(step.exact and [piece.source for piece in step.pieces] == [step.target] for step in plan.steps)
    assert not any("again" in note for note in plan.notes)


def test_what_is_not_run_of_an_actor_is_taken_from_one_that_is_alone() -> None:
    plan = apply_tli(randomised(Learner(), 2), randomised(Learner(), 1).actor, example=(4, 6), options=MAPS)
    found = made_of(plan)
    for name in ("0.weight", "0.bias", "2.weight", "2.bias"):
        assert found[f"actor.{name}"] == found[f"actor_target.{name}"] == [name]


class Colours(nn.Module):
    """A network for colours and one for depths, which have one number for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.rgb = Net(), Net()
        self.depth.trunk[0][0] = nn.Conv2d(1, 8, 3, 1, 1, bias=False)
        self.out = nn.Linear(10, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.cat((self.rgb(x), self.depth(x[:, :1])), 1))


@HOW
def test_a_tower_for_depths_takes_all_but_its_first_layer_as_it_is(how: str, tmp_path: Path) -> None:
    found = made_of(planned(randomised(Net(head=7)), randomised(Colours()), how, tmp_path))
    for name in list(Net().trunk.state_dict())[6:]:
        assert found[f"rgb.trunk.{name}"] == found[f"depth.trunk.{name}"] == [f"trunk.{name}"]
    back = made_of(planned(randomised(Colours()), randomised(Net(head=7)), how, tmp_path))
    assert all(back[f"trunk.{name}"] == [f"rgb.trunk.{name}"] for name in Net().trunk.state_dict())


class Averaged(nn.Module):
    """A network within wrappers, and its average beside it, which no code runs."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"compiled": nn.ModuleDict({"module": Net(8)})})
        self.model_ema = nn.ModuleDict({"module": Net(8)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model["compiled"]["module"](x)


def test_a_file_feeds_the_network_that_is_run_and_not_its_average_alone(tmp_path: Path) -> None:
    source = randomised(Net(8))
    torch.save(source.state_dict(), tmp_path / "source.pt")
    target = Averaged()
    apply_tli(target, str(tmp_path / "source.pt"), example=torch.randn(2, 3, 16, 16), options=MAPS)
    made = target.model["compiled"]["module"].state_dict()
    assert all(torch.equal(made[name].float(), tensor.float()) for name, tensor in source.state_dict().items())
