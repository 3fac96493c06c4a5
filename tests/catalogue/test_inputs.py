"""What a user's own class is run on: one input or several, values or tokens, guessed or given."""

from __future__ import annotations

import json
import textwrap

import pytest
import torch
import typer

from tests.catalogue.live import provide
from tli_cli.cli import run
from tli_cli.cli.parsers import parse_shape
from tli_cli.errors import TliError
from tli_cli.providers import provided

NETS = """
import torch
from torch import nn


class Two(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.image, self.words = nn.Conv2d(3, width, 3), nn.Embedding(20, width)
        self.head = nn.Linear(width, 2)

    def forward(self, image, words):
        return self.head(torch.relu(self.image(image)).mean((2, 3)) + self.words(words).mean(1))


class Timed(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.image, self.time, self.head = nn.Conv2d(3, width, 3), nn.Linear(1, width), nn.Conv2d(width, 3, 3)

    def forward(self, image, time):
        return self.head(self.image(image) + self.time(time[:, None])[:, :, None, None])


class Words(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.head, self.table = nn.Linear(width, 2), nn.Embedding(20, width)

    def forward(self, words):
        assert words.shape[1] == 12
        return self.head(self.table(words).mean(1))


def broken():
    raise ValueError("no such thing")
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(textwrap.dedent(NETS))
    return str(path)


@pytest.mark.parametrize(
    ("name", "shape"), [("Two", ((3, 8, 8), (5,))), ("Timed", ((3, 8, 8), ())), ("Words", (12,)), ("Words", ((12,),))]
)
def test_given_shapes_are_taken_for_values_or_for_tokens(nets, name, shape):
    found = provided(f"{nets}:{name}", input_shape=shape)
    assert found.architecture.order_from == "trace" and not found.notes


def test_without_a_shape_that_fits_the_definition_gives_the_order(nets):
    found = provided(f"{nets}:Two")
    assert found.architecture.order_from == "definition"
    assert "--input-shape" in found.notes[0] and "image" in found.notes[0]


def test_what_a_factory_raises_is_told_with_its_place(nets):
    with pytest.raises(TliError, match=r"broken: cannot be made: ValueError: no such thing \(nets\.py, line \d+\)"):
        provide(f"{nets}:broken")


@pytest.mark.parametrize(
    ("text", "shape"),
    [("3,8,8", (3, 8, 8)), ("3x8x8", (3, 8, 8)), ("3,8,8;5", ((3, 8, 8), (5,))), ("3,8,8;", ((3, 8, 8), ()))],
)
def test_shapes_are_read(text, shape):
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", "3,0", "3;a", "-1", "3,,8"])
def test_what_is_no_shape_is_refused(text):
    with pytest.raises(typer.BadParameter, match="3,224,224"):
        parse_shape(text)


def test_two_inputs_on_the_command_line(nets, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    module = {}
    exec(NETS, module)
    torch.save(module["Two"]().state_dict(), "two.pt")
    given = ["inject", "two.pt", "--target", "nets.py:Two?width=12", "--source-arch", "nets.py:Two", "--verify"]
    assert run([*given, "--input-shape", "3,8,8;5", "-o", "out.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verification"] < 1e-6


ONE_OF_TWO = """
from torch import nn


def net(chans=1, axes=2):
    conv = nn.Conv2d if axes == 2 else nn.Conv3d
    return nn.Sequential(conv(chans, 4, 3), nn.ReLU(), conv(4, 2, 1))
"""


@pytest.mark.parametrize(
    ("call", "shape", "taken"),
    [("chans=3", (1, 20, 20), "3,20,20"), ("axes=2", (1, 16, 20, 20), "1,224,224"), ("chans=1", (1, 20, 20), None)],
)
def test_a_shape_that_the_other_model_takes_is_replaced_and_said_so(tmp_path, call, shape, taken):
    (tmp_path / "one.py").write_text(ONE_OF_TWO)
    made = provided(f"{tmp_path}/one.py:net({call})", input_shape=shape)
    assert made.architecture.order_from == "trace"
    assert [note.rpartition(": ")[2] for note in made.notes] == (
        [f"does not run on --input-shape, without a batch; traced with {taken} instead"] if taken else []
    )
