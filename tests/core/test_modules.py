"""One module of a file: named behind a `#`, or found by the architecture that is given for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tli_cli import Options, inject, match
from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError, TliError
from tli_cli.references import Reading, resolve

NET = """
from torch import nn

def net():
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(96, 4))

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = net(), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.body(x))
"""
SHAPE = (3, 6, 6)
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def arch(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(NET)
    return f"{tmp_path / 'nets.py'}:net"


@pytest.fixture
def copies() -> dict[str, Tensors]:
    scope: dict[str, type[nn.Module]] = {}
    exec(NET, scope)
    found = {}
    for seed, name in enumerate(("student", "teacher")):
        torch.manual_seed(seed)
        found[name] = {n: t for n, t in scope["net"]().state_dict().items() if t.is_floating_point()}
    return found


def under(copies: dict[str, Tensors], wrapper: str = "") -> Tensors:
    return {f"{wrapper}{name}.{n}": t for name, held in copies.items() for n, t in held.items()}


def kept(folder: Path, tensors: Tensors, name: str = "two.safetensors") -> str:
    path = folder / name
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return str(path)


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize("name", ["two.safetensors", "two.pt"])
@pytest.mark.parametrize("chosen", ["student", "teacher"])
def test_either_copy_can_be_named(
    chosen: str, name: str, wrapper: str, copies: dict[str, Tensors], tmp_path: Path
) -> None:
    path = kept(tmp_path, under(copies, wrapper), name)
    for module in (chosen, f"{wrapper}{chosen}"):
        with open_checkpoint(f"{path}#{module}") as found:
            assert {spec.name for spec in found.tensors} == copies[chosen].keys()
            assert all(torch.equal(found.read(n), t) for n, t in copies[chosen].items())


def test_a_state_dict_of_its_own_can_be_named(copies: dict[str, Tensors], tmp_path: Path) -> None:
    torch.save({**copies, "epoch": 3}, tmp_path / "both.pt")
    for name, held in copies.items():
        with open_checkpoint(f"{tmp_path / 'both.pt'}#{name}") as found:
            assert all(torch.equal(found.read(n), t) for n, t in held.items())


def test_a_module_of_a_file_gives_and_takes_as_a_file_does(
    arch: str, copies: dict[str, Tensors], tmp_path: Path
) -> None:
    path, out = kept(tmp_path, under(copies)), tmp_path / "out.safetensors"
    plan = inject(f"{path}#student", arch, out, options=Options(input_shape=SHAPE)).plan
    assert not plan.unused and all(torch.equal(load_file(out)[n], t) for n, t in copies["student"].items())
    inject(f"{path}#student", f"{path}#teacher", tmp_path / "teacher.safetensors", options=Options(head="keep"))
    found = load_file(tmp_path / "teacher.safetensors")
    assert found.keys() == copies["teacher"].keys()
    assert all(torch.equal(found[n], t) for n, t in copies["student"].items())


def test_the_copy_that_is_not_taken_is_named(copies: dict[str, Tensors], arch: str, tmp_path: Path) -> None:
    plan = match(kept(tmp_path, under(copies)), arch, options=Options(input_shape=SHAPE))
    assert any("teacher is taken; #student" in note for note in plan.notes)


def test_a_module_that_is_not_there(copies: dict[str, Tensors], tmp_path: Path) -> None:
    path = kept(tmp_path, under(copies))
    with pytest.raises(CheckpointError, match="no module called 'techer' in it; did you mean 'teacher'"):
        open_checkpoint(f"{path}#techer")
    with pytest.raises(CheckpointError, match=r"it holds student, teacher, student\.0"):
        open_checkpoint(f"{path}#zz")


def test_a_file_may_be_called_so(copies: dict[str, Tensors], tmp_path: Path) -> None:
    with open_checkpoint(kept(tmp_path, copies["student"], "a#b.pt")) as found:
        assert {spec.name for spec in found.tensors} == copies["student"].keys()


@pytest.mark.parametrize("prefix", ["backbone.", "module.encoder.", "a.b.c."])
def test_a_named_architecture_is_found_below_a_prefix(
    prefix: str, arch: str, copies: dict[str, Tensors], tmp_path: Path
) -> None:
    tensors = {f"{prefix}{n}": t for n, t in copies["student"].items()} | {"neck.weight": torch.zeros(3, 3)}
    found = resolve(kept(tmp_path, tensors), Reading(arch=arch, input_shape=SHAPE))
    assert found.architecture.graph and found.checkpoint is not None and found.aside == ("neck.weight",)
    assert torch.equal(found.checkpoint.read("3.weight"), copies["student"]["3.weight"])
    assert any(prefix.removeprefix("module.").rstrip(".") in note for note in found.notes)


def test_a_part_of_a_named_architecture(arch: str, copies: dict[str, Tensors], tmp_path: Path) -> None:
    options = Options(source_arch=arch.replace(":net", ":Two"), input_shape=SHAPE, verify=False)
    out = tmp_path / "out.safetensors"
    report = inject(kept(tmp_path, copies["student"]), options.source_arch or "", out, options=options)
    assert torch.equal(load_file(out)["body.3.weight"], copies["student"]["3.weight"])
    assert any("names of the module 'body'" in note for note in report.plan.notes)


def test_verification_reads_the_prefixed_source_too(arch: str, copies: dict[str, Tensors], tmp_path: Path) -> None:
    options = Options(source_arch=arch, input_shape=SHAPE, verify=True)
    report = inject(kept(tmp_path, under(copies)), arch, tmp_path / "out.safetensors", options=options)
    assert report.verification == 0 and not report.warnings


def test_other_shapes_below_a_prefix_are_refused(arch: str, copies: dict[str, Tensors], tmp_path: Path) -> None:
    tensors = {f"backbone.{n}": t for n, t in copies["student"].items()} | {
        "backbone.3.weight": torch.zeros(6, 5, 3, 3)
    }
    with pytest.raises(TliError, match="is no checkpoint of"):
        resolve(kept(tmp_path, tensors), Reading(arch=arch, input_shape=SHAPE))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("3.weight"),
        lambda tensors: tensors.update({"3.weight": tensors["3.weight"].to(torch.int8)}),
        lambda tensors: tensors.update({"3.weight": torch.zeros(6, 5, 3, 3)}),
    ],
    ids=["missing", "quantised", "another shape"],
)
def test_what_else_a_file_holds_is_left_aside_where_the_whole_architecture_is_there(
    change: Callable[[Tensors], None], arch: str, copies: dict[str, Tensors], tmp_path: Path
) -> None:
    tensors = dict(copies["student"]) | {"3.scale": torch.ones(1)}
    found = resolve(kept(tmp_path, tensors), Reading(arch=arch, input_shape=SHAPE))
    assert found.aside == ("3.scale",) and any("3.scale" in note for note in found.notes)
    change(tensors)
    with pytest.raises(TliError, match=r"3\.scale \[1\]: unknown there"):
        resolve(kept(tmp_path, tensors, "other.pt"), Reading(arch=arch, input_shape=SHAPE))
