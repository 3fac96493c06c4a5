"""A user's own code as it lies about: packages, scripts, calls with arguments, inputs by name, prints."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn

from tests.catalogue.live import provide
from tli_cli import apply_tli
from tli_cli.catalogue.subjects import Subject
from tli_cli.cli import run
from tli_cli.errors import TliError, UnknownReferenceError
from tli_cli.providers import provided
from tli_cli.providers.described import run as run_traced
from tli_cli.references import resolve

NET = """
from torch import nn
{imports}
print("loading")


class Net(nn.Module):
    def __init__(self, width, depth=1):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), *(nn.Linear(width, width) for _ in range(depth - 1)))
        self.head = nn.Linear(width, 2)

    def forward(self, {takes}):
        print("running")
        return self.head(self.body({gives}))
"""
CALLS = {"x": ("x", "x"), "named": ("*, x, mask=None", "x"), "dict": ("batch", 'batch["x"] + batch["y"]')}


def written(path, takes="x", imports="", more=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    says, gives = CALLS[takes]
    path.write_text(NET.format(takes=says, gives=gives, imports=imports) + more)
    return path


@pytest.mark.parametrize("packages", [("deep", "deep/inner"), ()], ids=["packages", "plain directories"])
def test_a_file_with_relative_imports_is_a_part_of_its_package(tmp_path, packages):
    where, top = "project", "deep" if packages else "plain"  # what is one and then the other confuses `inspect`
    net = written(tmp_path / where / top / "inner" / "net.py", imports="from ..sizes import WIDTH\nfrom . import near")
    (net.parent / "near.py").write_text("")
    (net.parents[1] / "sizes.py").write_text("WIDTH = 3")
    for package in packages:
        (tmp_path / where / package / "__init__.py").write_text("")
    before = list(sys.path)
    assert provide(f"{net}:Net(5)").by_name["head.weight"].shape == (2, 5)
    assert sys.path == before


def test_two_versions_of_a_project_keep_what_lies_beside_each(tmp_path):
    for width in (3, 5):
        net = written(tmp_path / f"v{width}" / "net.py", more="from sizes import WIDTH\ndef made(): return Net(WIDTH)")
        (net.parent / "sizes.py").write_text(f"WIDTH = {width}")
    widths = [provide(f"{tmp_path}/v{v}/net.py:made").by_name["head.weight"].shape[1] for v in (3, 5, 3)]
    assert widths == [3, 5, 3]


def test_a_file_is_run_once_as_long_as_it_stays_as_it_is(tmp_path):
    notes = tmp_path / "runs.txt"
    more = f"open({str(notes)!r}, 'a').write('.')\n"
    net, other = (written(tmp_path / folder / "net.py", more=more) for folder in ("one", "other"))
    for path in (net, other, net, net):
        provide(f"{path}:Net(3)")
    assert notes.read_text() == ".."
    written(net, more=f"{more}WIDER = True\n")
    provide(f"{net}:Net(3)")
    assert notes.read_text() == "..."


@pytest.mark.parametrize("end", ["(5, depth=2)", "?width=5&depth=2"])
def test_arguments_stand_behind_a_question_mark_or_in_brackets(tmp_path, end):
    found = provide(f"{written(tmp_path / 'net.py')}:Net{end}")
    assert [spec.shape for spec in found.tensors if spec.name.endswith("weight")] == [(5, 4), (5, 5), (2, 5)]


def test_more_arguments_than_a_path_has_room_for(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef net(*widths):\n    return nn.Linear(4, len(widths))\n"
    )
    widths = ", ".join(map(str, range(200)))
    assert resolve(f"{tmp_path}/net.py:net({widths})").architecture.tensors[0].shape == (200, 4)


def test_what_is_no_literal_in_brackets_is_told(tmp_path):
    with pytest.raises(TliError, match="function without arguments"):
        resolve(f"{written(tmp_path / 'net.py')}:Net(width=int)")


@pytest.mark.parametrize(
    ("more", "end", "said"),
    [
        ("import argparse; argparse.ArgumentParser().add_argument('--data', required=True)", ":Net(3)", ""),
        ("import sys; sys.exit(2)", ":Net(3)", "__main__"),
        ("def made(): raise SystemExit(0)", ":made", "ended the program"),
        ("small = Net(3)", ":small", "made already"),
        ("def main(): pass", "", r"net\.py:Net; it defines Net, main"),
        ("import nowhere_to_be_found", ":Net", "install what it imports"),
        ("def wrong(): return nn.Linear(3)", ":wrong", r"missing 1 required positional argument: 'out_features' \(net"),
    ],
)
def test_scripts_that_are_no_library_are_one_message(tmp_path, capfd, more, end, said):
    net = written(tmp_path / "net.py", more=more)
    if not said:
        assert resolve(f"{net}{end}").architecture.graph
    else:
        with pytest.raises(TliError, match=said):
            resolve(f"{net}{end}")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "def made():\n    net = Net(3)\n    net.forward = lambda x: exit(0)\n    return net",
            "ended the program",
        ),
        ("def made():\n    net = Net(3)\n    net.net = net\n    return net", "without end"),
    ],
)
def test_what_never_runs_is_one_message(tmp_path, more, said):
    net = written(tmp_path / "net.py", more=more)
    with pytest.raises(TliError, match=said):
        provided(f"{net}:made", input_shape=(4,))


def test_an_input_that_nothing_can_count_is_told(tmp_path):
    with pytest.raises(TliError, match="no input of"):
        provided(f"{written(tmp_path / 'net.py')}:Net(3)", input_shape=(1 << 31, 1 << 31))
    subject = Subject("", "huge", lambda: nn.Linear(4, 3), (3, 1 << 40, 1 << 40), {})
    assert run_traced(subject, nn.Linear(4, 3), {}, "")[1].startswith("an input of 3x")


def test_a_package_that_is_not_there_is_unknown():
    with pytest.raises(UnknownReferenceError, match="no such package"):
        resolve("nowhere.at_all:Net")


@pytest.mark.parametrize(("takes", "shape"), [("named", {"x": (4,)}), ("dict", {"x": (4,), "y": (4,)})])
def test_inputs_by_name_are_arguments_or_the_keys_of_one_dictionary(tmp_path, takes, shape):
    net = written(tmp_path / "net.py", takes)
    found = provided(f"{net}:Net(3)", input_shape=shape)
    assert found.architecture.order_from == "trace" and not found.notes
    assert set(found.architecture.by_name) == {"body.0.weight", "body.0.bias", "head.weight", "head.bias"}


@pytest.mark.parametrize("takes", ["named", "dict"])
def test_inputs_by_name_and_prints_on_the_command_line(tmp_path, capsys, takes):
    net = written(tmp_path / "net.py", takes)
    layers = {"body.0": nn.Linear(4, 3), "head": nn.Linear(3, 2)}
    torch.save({f"{at}.{k}": v for at, m in layers.items() for k, v in m.state_dict().items()}, tmp_path / "a.pt")
    given = ["inject", f"{tmp_path}/a.pt", "--source-arch", f"{net}:Net(3)", "--target", f"{net}:Net?width=7"]
    shape = "x=4" if takes == "named" else "x=4;y=4"
    assert run([*given, "--input-shape", shape, "--verify", "-o", f"{tmp_path}/b.pt", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["verification"] < 1e-6
    assert "loading" in err and "running" in err


class Batch(nn.Module):
    """Takes one dictionary."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(9, width), nn.Linear(width, 2)

    def forward(self, batch):
        return {"logits": self.head(self.table(batch["ids"]).mean(1) * batch["scale"])}


class Words(Batch):
    """Takes the same by name."""

    def forward(self, *, ids, scale):
        return super().forward({"ids": ids, "scale": scale})


@pytest.mark.parametrize("kind", [Batch, Words])
@pytest.mark.parametrize("given", ["tensors", "shapes"])
def test_an_example_may_be_a_dictionary(kind, given):
    batch = {"ids": torch.ones(2, 5, dtype=torch.int64), "scale": torch.ones(2, 1)}
    source, target = kind(4).double(), kind(8).double()
    if kind is Batch and given == "shapes":
        example = (batch,)
    else:
        example = batch if given == "tensors" else {name: tuple(value.shape) for name, value in batch.items()}
    apply_tli(target, source, example=example)
    run_on = (lambda m: m(batch)) if kind is Batch else (lambda m: m(**batch))
    assert torch.allclose(run_on(source)["logits"], run_on(target)["logits"])


def test_what_is_no_example_is_told():
    with pytest.raises(TliError, match=r"dictionary of them\) or its shape .* found int"):
        apply_tli(Batch(4), Batch(4), example=3)


def test_a_sparse_buffer_does_not_keep_a_network_from_being_run(tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))\n"
        "        self.register_buffer('heads', torch.ones(3, 3, dtype=torch.bool).to_sparse(), persistent=False)\n"
    )
    architecture = provide(f"{tmp_path}/net.py:Net")
    assert architecture.order_from == "trace" and set(architecture.by_name) == {
        "0.weight", "0.bias", "2.weight", "2.bias"
    }  # fmt: skip


def test_where_a_file_is_no_python_is_said_once(tmp_path):
    (tmp_path / "net.py").write_text("def build(:\n")
    with pytest.raises(TliError, match=r"invalid syntax \(net\.py, line 1\)$"):
        provided(f"{tmp_path}/net.py:build")
