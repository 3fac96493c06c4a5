"""Weights that a network stores as a length and a direction, beside plain ones (arXiv 1602.07868)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.models import randomised
from tli_cli import Options, TliError, apply_tli, inject, match
from tli_cli.plan import Plan

FORMS = {
    "plain": lambda layer, dim=0: layer,
    "hooked": lambda layer, dim=0: nn.utils.weight_norm(layer, dim=dim),
    "parametrised": lambda layer, dim=0: nn.utils.parametrizations.weight_norm(layer, dim=dim),
}
INPUT = torch.randn(2, 4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Vocoder(nn.Module):
    """A transposed convolution, residual convolutions, of which one has its lengths along places, and a linear map."""

    def __init__(self, form: str = "plain", width: int = 8, depth: int = 2) -> None:
        super().__init__()
        normed = FORMS[form]
        self.pre, self.up = nn.Conv1d(4, width, 5, padding=2), normed(nn.ConvTranspose1d(width, width, 4, 2, 1))
        self.blocks = nn.ModuleList([normed(nn.Conv1d(width, width, 3, padding=1), 2 * (i == 1)) for i in range(depth)])
        self.fc = normed(nn.Linear(width, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(self.pre(x).relu())
        for block in self.blocks:
            x = x + block(nn.functional.leaky_relu(x, 0.1))
        return self.fc(x.mean(2))


def reference(form: str, width: int = 8, depth: int = 2) -> str:
    return f"{__file__}:Vocoder(form='{form}',width={width},depth={depth})"


def stored(model: nn.Module, path: Path) -> str:
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return str(path)


def apart(first: nn.Module, second: nn.Module) -> float:
    with torch.no_grad():
        return float((first(INPUT) - second(INPUT)).abs().max())


PAIRS = [(a, b) for a in FORMS for b in FORMS if a != b]


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize(("width", "depth"), [(8, 2), (12, 2)])
def test_what_the_weights_make_is_kept(one: str, other: str, width: int, depth: int, tmp_path: Path) -> None:
    source, target = randomised(Vocoder(one), 1).double(), randomised(Vocoder(other, width, depth), 2).double()
    file, out = stored(source, tmp_path / "source.safetensors"), tmp_path / "out.safetensors"
    own = stored(target, tmp_path / "target.safetensors")
    options = Options(source_arch=reference(one), input_shape=(4, 12), force=True)
    for wanted in (own, reference(other, width, depth)):
        with_code = inject(file, wanted, out, options=options).plan
        target.load_state_dict(load_file(out))
        assert apart(source, target) < 1e-6 and all(step.exact for step in with_code.steps)
        carried = inject(file, wanted, out, plan=Plan.from_json(with_code.to_json()), options=options).plan
        assert carried.steps == with_code.steps
    live = randomised(Vocoder(other, width, depth), 3).double()
    assert all(step.exact for step in apply_tli(live, source, example=INPUT).steps) and apart(source, live) < 1e-12


class Twice(nn.Module):
    """Convolutions that the module and a row in it hold both."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.utils.weight_norm(nn.Conv1d(i, width, 3, padding=1)) for i in (4, width))
        self.net = nn.Sequential(self.conv1, nn.ReLU(), self.conv2, nn.ReLU())
        self.fc = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.net(x).mean(2))


def test_a_length_that_a_module_holds_twice_is_one() -> None:
    source, target = (randomised(Twice(width), width) for width in (8, 16))
    plan = apply_tli(target, source, example=INPUT, options=Options(method="maps"))
    assert all(step.exact for step in plan.steps) and apart(source, target) < 1e-9


@pytest.mark.parametrize("other", FORMS)
def test_added_blocks_are_nothing(other: str) -> None:
    source, target = randomised(Vocoder("plain"), 1).double(), randomised(Vocoder(other, depth=3), 2).double()
    plan = apply_tli(target, source, example=INPUT)
    assert all(step.exact for step in plan.steps) and apart(source, target) < 1e-12


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_files_of_one_network_arrive_whole(one: str, other: str, tmp_path: Path) -> None:
    source, target = randomised(Vocoder(one), 1).double(), randomised(Vocoder(other), 2).double()
    sides = stored(source, tmp_path / "source.safetensors"), stored(target, tmp_path / "target.safetensors")
    plan = inject(*sides, tmp_path / "out.safetensors").plan
    target.load_state_dict(load_file(tmp_path / "out.safetensors"))
    assert apart(source, target) < 1e-12 and all(step.exact for step in plan.steps) and not plan.unused


def test_a_file_is_known_as_its_class_however_its_weights_are_stored(tmp_path: Path) -> None:
    file = stored(randomised(Vocoder("hooked", depth=3), 1), tmp_path / "source.safetensors")
    plan = match(file, reference("plain"), options=Options(input_shape=(4, 12)))
    assert "like" in plan.sources[0].origin and not any(step.action == "keep" for step in plan.steps)


def test_equal_lengths_and_directions_are_copied(tmp_path: Path) -> None:
    file = stored(randomised(Vocoder("hooked"), 1), tmp_path / "source.safetensors")
    plan = match(file, reference("parametrised"), options=Options(source_arch=reference("hooked"), input_shape=(4, 12)))
    assert {step.resizer for step in plan.steps} == {"copy"}


@pytest.mark.parametrize("form", ["hooked", "parametrised"])
def test_what_has_no_length_keeps_some_direction(form: str) -> None:
    source, target = randomised(Vocoder("plain"), 1).double(), randomised(Vocoder(form), 2).double()
    with torch.no_grad():
        source.blocks[0].weight[2].zero_()
        apply_tli(target, source, example=INPUT)
    length, direction = list(target.blocks[0].parameters())[-2:] if form == "hooked" else \
        target.blocks[0].parametrizations.weight.parameters()  # fmt: skip
    assert length[2] == 0 and direction[2].norm() > 0 and apart(source, target) < 1e-12


def test_methods_on_shapes_alone_call_no_direction_exact() -> None:
    source, target = randomised(Vocoder("hooked"), 1).double(), Vocoder("plain").double()
    plan = apply_tli(target, source, example=INPUT, options=Options(method="crop"))
    assert {step.role for step in plan.steps if not step.exact} >= {"weight"} and apart(source, target) > 0.01


def test_a_plan_with_a_length_of_nothing_is_refused(tmp_path: Path) -> None:
    file = stored(randomised(Vocoder("plain"), 1), tmp_path / "source.safetensors")
    options = Options(source_arch=reference("plain"), input_shape=(4, 12))
    text = match(file, reference("hooked"), options=options).to_json()
    assert '"resizer": "length"' in text or '"resizer":"length"' in text
    broken = Plan.from_json(text.replace('"direction"', '"maps"').replace('"role": "weight"', '"role": "other"'))
    with pytest.raises(TliError, match="expected a transferred weight and its length"):
        inject(file, reference("hooked"), tmp_path / "out.safetensors", plan=broken, options=options)
