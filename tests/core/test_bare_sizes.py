"""Two bare files of one class in other sizes: each tensor is fed by the one of its name, whatever shapes suggest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import nn

from tests.models import randomised
from tli_cli import Options, match


def held(**parts: nn.Module) -> nn.Module:
    module = nn.Module()
    for name, part in parts.items():
        module.add_module(name, part)
    return module


def perceptron(taken: int, width: int, given: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(taken, width), nn.ReLU(), nn.Linear(width, given))


def mixer(width: int) -> nn.Module:
    """Networks that make the weights of another: in one size a layer is twice as wide as another one."""
    made = {"hyper_w_1": perceptron(6, 8, 3 * width), "hyper_w_final": perceptron(6, 8, width)}
    agent = {"fc1": nn.Linear(5, 8), "rnn": nn.GRUCell(8, 8), "fc2": nn.Linear(8, 3)}
    return held(**agent, **made, hyper_b_1=nn.Linear(6, width), V=perceptron(6, width, 1))


def duelling(width: int) -> nn.Module:
    """Two heads on a flattened map, that stand before its convolutions in the alphabet."""
    convs = nn.Sequential(nn.Conv2d(4, width, 8, 4), nn.ReLU(), nn.Conv2d(width, 2 * width, 4, 2))
    return held(features=convs, advantage=perceptron(18 * width, 16, 6), value=perceptron(18 * width, 16, 1))


def recurrent(width: int) -> nn.Module:
    """Heads of a state, whose gates no layer takes."""
    return held(c1=nn.Conv2d(1, 4, 4, 2), c2=nn.Conv2d(4, 4, 3, 2), lstm=nn.LSTM(36, width), adv=nn.Linear(width, 4))


def curious(width: int) -> nn.Module:
    """Networks side by side of which in one size another one seems to be the last."""
    blocks = nn.Sequential(perceptron(3 + width, width, width), perceptron(3 + width, width, width))
    into = held(feature=perceptron(5, width, 8), inverse=perceptron(16, width, 3), residual=blocks)
    into.add_module("before", nn.Linear(11, width))
    into.add_module("behind", nn.Linear(3 + width, 8))
    return into


def noisy(width: int) -> nn.Module:
    sizes = {"h_v": (16, width), "h_a": (16, width), "z_v": (width, 11), "z_a": (width, 66)}
    convs = nn.Sequential(nn.Conv2d(4, 8, 5, 5), nn.ReLU(), nn.Conv2d(8, 16, 5, 5))
    return held(convs=convs, **{f"fc_{name}": nn.Linear(*size) for name, size in sizes.items()})


def coupled(width: int) -> nn.Module:
    """Gated convolutions, whose channels the one that is called a projection shares with them."""

    def gated() -> nn.Module:
        convs = (nn.Conv1d(width, 2 * width, 3) for _ in range(2))
        skips = (nn.Conv1d(width, given, 1) for given in (2 * width, width))
        return held(in_layers=nn.ModuleList(convs), res_skip_layers=nn.ModuleList(skips))

    parts = [held(pre=nn.Conv1d(4, width, 1), enc=gated(), post=nn.Conv1d(width, 4, 1)) for _ in range(2)]
    return held(pre=nn.Conv1d(6, width, 1), enc=gated(), proj=nn.Conv1d(width, 16, 1), flows=nn.ModuleList(parts))


CASES: list[tuple[Callable[[int], nn.Module], int, int]] = [
    (mixer, 4, 8), (duelling, 8, 16), (recurrent, 8, 16), (curious, 8, 16), (noisy, 16, 32), (coupled, 8, 16),
]  # fmt: skip


@pytest.mark.parametrize(("make", "small", "large"), CASES)
def test_each_tensor_is_fed_by_the_one_of_its_name(
    make: Callable[[int], nn.Module], small: int, large: int, tmp_path: Path
) -> None:
    fed = fed_by(make(small), make(large), tmp_path)
    assert fed == {name: {name} for name in fed}


def test_an_encoder_and_a_decoder_of_one_size_are_no_copies(tmp_path: Path) -> None:
    def parts(*depths: int) -> nn.Module:
        lists = (
            nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(depth))
            for depth in depths
        )
        return held(words=nn.Embedding(12, 8), **dict(zip(("enc", "dec"), lists, strict=True)), mel=nn.Linear(8, 5))

    fed = fed_by(parts(2, 2), parts(2, 3), tmp_path)
    assert {name: fed[name] for name in fed if ".2." not in name} == {name: {name} for name in fed if ".2." not in name}


def fed_by(source: nn.Module, target: nn.Module, folder: Path) -> dict[str, set[str]]:
    files = [str(folder / f"{seed}.safetensors") for seed in (1, 2)]
    for seed, model in enumerate((source, target), 1):
        save_file(randomised(model, seed).state_dict(), files[seed - 1])
    plan = match(*files, options=Options(method="maps"))
    return {step.target: {piece.source for piece in step.pieces} for step in plan.steps}
