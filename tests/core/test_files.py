"""From files to a file: every kind of reference on either side, and nothing written where something stops it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.core.support import same_bytes
from tli_cli import Options, api, inject, match, verify
from tli_cli.catalogue.libraries import import_timm
from tli_cli.cli import run
from tli_cli.errors import GateError, TliError, UnknownReferenceError
from tli_cli.plan import EDITED, Plan

NETS = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x):
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))

class Net(nn.Module):
    def __init__(self, width=6, depth=2, classes=4):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))

def wide():
    return Net(width=10, depth=3)
"""
SHAPE = Options(input_shape=(3, 8, 8))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    scope: dict[str, type[nn.Module]] = {}
    exec(NETS, scope)
    for name, model in (("small", scope["Net"]()), ("wide", scope["wide"]())):
        state = model.state_dict()
        names = list(state)
        save_file(state, f"{name}.safetensors")
        torch.save(state, f"{name}.pt")
        torch.save(model.state_dict(), f"{name}.bin")
        nested = {f"module.{key}": value for key, value in state.items()}
        torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, "state_dict": nested}, f"{name}_training.ckpt")
        shards = Path(f"{name}_sharded")
        shards.mkdir()
        index = {}
        for number, part in enumerate((names[::2], names[1::2]), 1):
            file = f"model-{number:05}-of-00002.safetensors"
            save_file({key: state[key] for key in part}, shards / file)
            index |= dict.fromkeys(part, file)
        (shards / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return tmp_path


FILES = (
    "{}.safetensors",
    "{}.pt",
    "{}.bin",
    "{}_training.ckpt",
    "{}_sharded",
    "{}_sharded/model.safetensors.index.json",
)
"""Every kind of checkpoint, of the network in braces."""
CODE = ("tiny_nets.py:wide", "tiny_nets:wide", "tiny_nets.py:Net?width=10&depth=3")


def wide_net() -> nn.Module:
    scope: dict[str, type[nn.Module]] = {}
    exec(NETS, scope)
    return scope["wide"]()


def loads(file: str | Path, reference: str) -> bool:
    """Load strictly, under the names that the target itself has."""
    prefix = "module." if "training" in reference else ""
    state = {name.removeprefix(prefix): tensor for name, tensor in load_file(file).items()}
    wide_net().load_state_dict(state, strict=True)
    return True


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return {str(path): path.read_bytes() for path in files}


@pytest.mark.parametrize("source", FILES)
def test_every_kind_of_source_gives_the_same_result_and_stays_as_it_is(folder, source):
    before = contents(folder)
    options = Options(input_shape=(3, 8, 8), source_arch="tiny_nets.py:Net")
    report = inject(source.format("small"), "tiny_nets.py:wide", "out.safetensors", options=options)
    inject("small.pt", "tiny_nets.py:wide", "plain.safetensors", options=options)
    assert loads("out.safetensors", "") and [file.name for file in report.files] == ["out.safetensors"]
    assert same_bytes(load_file("out.safetensors"), load_file("plain.safetensors"))
    assert {name: data for name, data in contents(folder).items() if name in before} == before


@pytest.mark.parametrize("target", [file.format("wide") for file in FILES] + list(CODE))
def test_every_kind_of_target_loads_strictly(folder, target):
    before = contents(folder)
    inject("small.pt", target, "out.safetensors", options=SHAPE)
    assert loads("out.safetensors", target)
    assert {name: data for name, data in contents(folder).items() if name in before} == before


def test_a_checkpoint_as_target_keeps_its_own_values_where_nothing_is_injected(folder):
    options = Options(input_shape=(3, 8, 8), batchnorm=False)
    plan = inject("small.pt", "wide.pt", "out.safetensors", options=options).plan
    made, own = load_file("out.safetensors"), torch.load("wide.pt")
    kept = [step.target for step in plan.steps if step.action == "keep" and step.initial == "target"]
    assert kept and all(made[name].equal(own[name]) for name in kept)


@pytest.mark.skipif(find_spec("timm") is None, reason="needs timm")
def test_a_catalogue_name_on_either_side_loads_strictly(folder):
    from tli_cli import catalogue

    try:
        catalogue.load("timm:resnet18")
    except UnknownReferenceError:
        pytest.skip("the catalogue is not built")
    timm = import_timm()
    torch.save(timm.create_model("resnet18", num_classes=7).state_dict(), "r18.pt")
    inject("r18.pt", "timm:resnet18?num_classes=5", "out.safetensors")
    timm.create_model("resnet18", num_classes=5).load_state_dict(load_file("out.safetensors"), strict=True)


def test_the_same_seed_gives_the_same_file(folder):
    def made(out: str, seed: int) -> bytes:
        inject("small.pt", "tiny_nets.py:wide", out, options=Options(input_shape=(3, 8, 8), seed=seed))
        return Path(out).read_bytes()

    assert made("a.safetensors", 0) == made("b.safetensors", 0)
    first, other = load_file("a.safetensors"), (made("c.safetensors", 1), load_file("c.safetensors"))[1]
    assert not same_bytes(first, other)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_the_dtype_of_floating_tensors_can_be_chosen(folder, dtype):
    inject("small.pt", "tiny_nets.py:wide", "out.safetensors", options=Options(input_shape=(3, 8, 8), dtype=dtype))
    made = load_file("out.safetensors")
    assert {t.dtype for t in made.values() if t.is_floating_point()} == {getattr(torch, dtype)}
    assert made["blocks.0.bn1.num_batches_tracked"].dtype == torch.int64


def test_a_plan_is_replayed_from_a_value_a_file_and_a_pipe(folder, capsys, monkeypatch):
    target = "tiny_nets.py:Net?width=10&classes=7"  # so that a head is drawn, by the plan's seed
    asked = Options(input_shape=(3, 8, 8), seed=5)
    plan = match("small.pt", target, options=asked)
    assert any(step.initial == "constructor" for step in plan.steps)
    inject("small.pt", target, "a.safetensors", options=asked)
    inject("small.pt", target, "b.safetensors", plan=plan, options=SHAPE)
    Path("plan.json").write_text(plan.to_json())
    given = ("inject", "small.pt", "-t", target, "--input-shape", "3,8,8")
    assert run((*given, "--plan", "plan.json", "-o", "c.safetensors")) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(plan.to_json()))
    assert run((*given, "--plan", "-", "-o", "d.safetensors")) == 0
    assert len({Path(f"{letter}.safetensors").read_bytes() for letter in "abcd"}) == 1


def test_an_edited_plan_is_carried_out_as_it_stands(folder):
    raw = json.loads(match("small.pt", "tiny_nets.py:wide", options=SHAPE).to_json())
    step = next(s for s in raw["steps"] if s["target"] == "stem.weight")
    assert step["exact"]
    raw["maps"][step["pieces"][0]["axes"][0]]["index"] = [5, 4, 3, 2, 1, 0, 0, 1, 2, 3]
    Path("plan.json").write_text(json.dumps(raw))
    read = Plan.from_json(json.dumps(raw))
    assert not any(step.exact for step in read.steps) and EDITED in read.notes
    given = ("inject", "small.pt", "-t", "tiny_nets.py:wide", "--input-shape", "3,8,8", "--plan", "plan.json")
    assert run((*given, "-o", "out.safetensors")) == 0
    source = torch.load("small.pt")["stem.weight"]
    assert load_file("out.safetensors")["stem.weight"].equal(source[[5, 4, 3, 2, 1, 0, 0, 1, 2, 3]])


def stopped() -> Iterator[tuple[str, dict[str, object]]]:
    yield "a gate", {"options": Options(input_shape=(3, 8, 8), min_score=1.0)}
    yield "coverage", {"options": Options(input_shape=(3, 8, 8), min_coverage=1.0, batchnorm=False)}
    yield "strict", {"options": Options(input_shape=(3, 8, 8), strict=True, batchnorm=False)}
    yield "matcher", {"options": Options(input_shape=(3, 8, 8), matcher="dq")}
    yield "method", {"options": Options(input_shape=(3, 8, 8), method="comboo")}
    yield "head", {"options": Options(input_shape=(3, 8, 8), head="map:nowhere.txt")}


@pytest.mark.parametrize(("why", "given"), list(stopped()), ids=[why for why, _ in stopped()])
def test_nothing_is_written_where_something_stops_it(folder, why, given):
    before = set(contents(folder))
    with pytest.raises(GateError if why in ("a gate", "coverage", "strict") else TliError):
        inject("small.pt", "tiny_nets.py:wide", "out.safetensors", **given)
    assert set(contents(folder)) == before


def test_a_plan_for_other_models_is_refused_with_what_differs(folder):
    plan = match("small.pt", "tiny_nets.py:wide", options=SHAPE)
    with pytest.raises(TliError, match="target: made for"):
        inject("small.pt", "tiny_nets.py:Net?width=12", "out.safetensors", plan=plan, options=SHAPE)
    with pytest.raises(TliError, match="source: made for"):
        inject("wide.pt", "tiny_nets.py:wide", "out.safetensors", plan=plan, options=SHAPE)
    assert not Path("out.safetensors").exists()


def test_paths_name_references_as_texts_do(tmp_path):
    save_file({"fc.weight": torch.ones(2, 3)}, tmp_path / "a.safetensors")
    path = tmp_path / "a.safetensors"
    assert match(path, path) == match([path], str(path)) == match(str(path), str(path))
    report = inject(path, path, tmp_path / "b.safetensors")
    assert verify(report.files[0], path).problems == ()
    assert api.score(path, path).target == str(path)
    assert api.inspect(path) == api.inspect(str(path))
    assert api.rank(path, [path]).candidates[0].source == str(path)
    assert api.matrix([path, "resnet18"]).names == (str(path), "resnet18")


@pytest.mark.parametrize("index", ["²", "٣", "①"])
def test_any_sign_may_number_a_layer(index, tmp_path):
    tensors = {
        f"layers.{index}.weight": torch.ones(2, 2),
        "layers.0.weight": torch.ones(2, 2),
        "head": torch.ones(3, 2),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    save_file({**tensors, "head": torch.ones(5, 2)}, tmp_path / "b.safetensors")
    assert inject(str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"), tmp_path / "c.safetensors").exact


def test_nothing_comes_of_a_side_that_has_no_channels(tmp_path):
    save_file({"fc.weight": torch.ones(0, 4), "fc.bias": torch.ones(0)}, tmp_path / "a.safetensors")
    save_file({"fc.weight": torch.ones(3, 4), "fc.bias": torch.ones(3)}, tmp_path / "b.safetensors")
    for source, target in (("a", "b"), ("b", "a")):
        out = tmp_path / f"{source}.out.safetensors"
        inject(str(tmp_path / f"{source}.safetensors"), str(tmp_path / f"{target}.safetensors"), out)
        assert load_file(out)["fc.weight"].isfinite().all()


def test_a_convolution_of_one_value_is_one(tmp_path):
    tensors = {"blocks.3.one.weight": torch.ones(1, 1, 1, 1), "blocks.3.more.weight": torch.ones(6, 6, 6)}
    save_file(tensors, tmp_path / "a.safetensors")
    plan = match(str(tmp_path / "a.safetensors"), str(tmp_path / "a.safetensors"))
    assert all(step.exact for step in plan.steps) and not plan.notes


def test_a_branch_of_unknown_names_ends_in_what_gives_as_much_as_it_takes(tmp_path: Path) -> None:
    """Sorted by name, a state-space block's last layer is none that its branch ends in."""
    sizes = {"in_proj": (24, 8), "out_proj": (8, 12), "x_proj": (5, 12), "dt_proj": (12, 3)}
    for side, blocks in (("source", 2), ("target", 3)):
        held = {
            f"layers.{i}.mixer.{n}.weight": torch.randn(*shape) for i in range(blocks) for n, shape in sizes.items()
        }
        held |= {f"layers.{i}.norm.weight": torch.randn(8) for i in range(blocks)} | {"embed.weight": torch.randn(9, 8)}
        save_file(held, tmp_path / f"{side}.safetensors")
    plan = match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"))
    assert [s.layer.rpartition(".")[2] for s in plan.steps if s.initial == "zeros" and s.action == "keep"] == [
        "out_proj"
    ]
