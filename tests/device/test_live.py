"""Models, teachers and state dicts on a CUDA device."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations

from tests.models import NETS, example_for, randomised
from tli_cli import Options, apply_tli

NAMES = tuple(NETS)


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    return randomised(NETS[name]()).float(), NETS[name](width=13 if name == "vgg" else 16).eval()


def example(name: str) -> torch.Tensor:
    given = example_for(name)[0]
    return given.float() if given.is_floating_point() else given


def same(first: nn.Module, second: nn.Module) -> None:
    mine, theirs = first.state_dict(), second.state_dict()
    for name, value in mine.items():
        assert torch.allclose(value.cpu().double(), theirs[name].cpu().double(), rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("teacher_there", [True, False])
@pytest.mark.parametrize("model_there", [True, False])
def test_modules(name: str, teacher_there: bool, model_there: bool, cuda: str) -> None:
    teacher, model = pair(name)
    expected = deepcopy(model)
    options = Options(method="maps")
    apply_tli(expected, teacher, example=example(name), options=options)
    model.to(cuda if model_there else "cpu")
    apply_tli(model, teacher.to(cuda if teacher_there else "cpu"), example=example(name), options=options)
    assert {p.device.type for p in model.parameters()} == {cuda if model_there else "cpu"}
    same(expected, model)


@pytest.mark.parametrize("method", ["auto", "magnitude", "combo", "net2net", "fna"])
def test_state_dicts(method: str, cuda: str) -> None:
    teacher, model = pair("resnet")
    expected = deepcopy(model)
    options = Options(method=method, source_arch="tests/models.py:ResNet", input_shape=(3, 16, 16))
    apply_tli(expected, teacher.state_dict(), example=example("resnet"), options=options)
    apply_tli(model.to(cuda), teacher.to(cuda).state_dict(), example=example("resnet"), options=options)
    same(expected, model)


def test_a_file(tmp_path: Path, cuda: str) -> None:
    teacher, model = pair("vit")
    expected = deepcopy(model)
    save_file(teacher.state_dict(), tmp_path / "a.safetensors")
    apply_tli(expected, tmp_path / "a.safetensors", example=example("vit"))
    apply_tli(model.to(cuda), tmp_path / "a.safetensors", example=example("vit"))
    same(expected, model)


def test_an_example_there(cuda: str) -> None:
    teacher, model = pair("mobilenet")
    plan = apply_tli(model.to(cuda), teacher.to(cuda), example=example("mobilenet").to(cuda))
    assert plan.coverage > 0.9


def test_teachers_on_two_devices(cuda: str) -> None:
    first, model = pair("resnet")
    second = deepcopy(first)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(1.01)
    expected = deepcopy(model)
    options = Options(top_k=2)
    apply_tli(expected, [first, second], example=example("resnet"), options=options)
    apply_tli(model.to(cuda), [first, second.to(cuda)], example=example("resnet"), options=options)
    same(expected, model)


def test_a_fit(cuda: str) -> None:
    teacher, model = randomised(NETS["resnet"]()).float(), NETS["mobilenet"]().eval()
    start, expected = deepcopy(model), deepcopy(model)
    options = Options(method="fit")
    apply_tli(expected, teacher, example=example("resnet"), options=options)
    plan = apply_tli(model.to(cuda), teacher.to(cuda), example=example("resnet"), options=options)
    given = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mine, theirs, before = model(given.to(cuda)).cpu(), expected(given), start(given)
    assert plan.fits and float((mine - theirs).pow(2).mean()) < 0.2 * float((before - theirs).pow(2).mean())


def test_half_precision_and_parametrised(cuda: str) -> None:
    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, width), parametrizations.weight_norm(nn.Linear(width, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.relu(self.a(x)))

    teacher, model = Net(8).to(cuda), Net(12).to(cuda)
    apply_tli(model, teacher, example=torch.zeros(2, 6, device=cuda))
    given = torch.randn(5, 6, device=cuda)
    assert torch.allclose(model(given), teacher(given), atol=1e-5)
    half = Net(12).to(cuda, torch.bfloat16)
    apply_tli(half, teacher, example=torch.zeros(2, 6, device=cuda))
    assert torch.allclose(half(given.bfloat16()).float(), teacher(given), atol=0.1)
