from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli import api
from tli_cli.errors import TliError
from tli_cli.injection.comparison import difference, largest_difference, output_of, random_like
from tli_cli.options import Options

NETS = """
from torch import nn

def net(width, classes=5):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 2 * width, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, classes),
    )

def small(): return net(4)
def wide(): return net(8)
def other(): return net(8, classes=7)

class Words(nn.Module):
    def __init__(self, words=9, width=4):
        super().__init__()
        self.embed, self.head = nn.Embedding(words, width), nn.Linear(width, words)
    def forward(self, tokens): return self.head(self.embed(tokens))

class Two(nn.Module):
    def __init__(self, points=10):
        super().__init__()
        self.body, self.box, self.points = nn.Linear(6, 4), nn.Linear(4, 4), nn.Linear(4, points)
    def forward(self, x):
        x = self.body(x).relu()
        return {"box": self.box(x), "points": self.points(x)}

class Turned(Two):
    def forward(self, x):
        return tuple(super().forward(x).values())[::-1]
"""
OPTIONS = Options(source_arch="nets.py:small", input_shape=(3, 8, 8))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    torch.manual_seed(0)
    (tmp_path / "nets.py").write_text(NETS)
    scope: dict[str, object] = {}
    exec(NETS, scope)
    torch.save(scope["small"]().state_dict(), tmp_path / "small.pt")  # type: ignore[operator]
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_wider_network_computes_the_same(folder):
    report = api.inject("small.pt", "nets.py:wide", "wide.safetensors", options=replace(OPTIONS, verify=True))
    assert report.verification is not None and report.verification < 1e-6 and not report.warnings


def test_a_difference_is_seen():
    api.inject("small.pt", "nets.py:wide", "wide.safetensors", options=OPTIONS)
    changed = load_file("wide.safetensors")
    changed["7.bias"] += 1
    save_file(changed, "changed.safetensors")
    assert largest_difference("small.pt", "nets.py:wide", "changed.safetensors", OPTIONS) > 0.1


def test_every_output_is_compared(folder):
    scope: dict[str, object] = {}
    exec(NETS, scope)
    torch.save(scope["Two"]().state_dict(), folder / "two.pt")  # type: ignore[operator]
    options = Options(source_arch="nets.py:Two", input_shape=(6,), verify=True)
    for target in ("nets.py:Two", "nets.py:Turned"):
        assert api.inject("two.pt", target, "two.safetensors", options=replace(options, force=True)).verification == 0
        changed = load_file("two.safetensors")
        changed["points.bias"] += 1
        save_file(changed, "changed.safetensors")
        assert largest_difference("two.pt", target, "changed.safetensors", options) > 0.1
    report = api.inject("two.pt", "nets.py:Two?points=7", "seven.safetensors", options=options)
    assert report.verification == 0, "the main output, where not all are alike"


def test_a_difference_counts_where_values_are_not_finite():
    some = torch.tensor([1.0, float("-inf"), 2.0])
    assert difference(some, some) == 0.0
    assert difference(some, torch.tensor([1.0, 0.0, 2.0])) == float("inf")


def test_a_source_may_hold_more_than_its_architecture():
    more = torch.load("small.pt") | {"loss.margin": torch.ones(1)}
    torch.save(more, "more.pt")
    report = api.inject("more.pt", "nets.py:wide", "wide.safetensors", options=replace(OPTIONS, verify=True))
    assert report.verification is not None and report.verification < 1e-6 and not report.warnings
    assert report.plan.unused == ("loss.margin",) and any("loss.margin" in note for note in report.plan.notes)


def test_a_model_that_fails_is_one_message(monkeypatch, folder):
    api.inject("small.pt", "nets.py:wide", "wide.safetensors", options=OPTIONS)
    (folder / "nets.py").write_text(
        NETS + "\nclass wide(nn.Sequential):\n    def __init__(self):\n        "
        "super().__init__(*net(8))\n    def forward(self, x):\n        raise ValueError('not today')\n"
    )
    with pytest.raises(TliError, match=r"nets\.py:wide cannot be run on random input: not today"):
        largest_difference("small.pt", "nets.py:wide", "wide.safetensors", OPTIONS)


def test_what_cannot_be_compared_is_said():
    api.inject("small.pt", "nets.py:other", "other.safetensors", options=OPTIONS)
    with pytest.raises(TliError, match=r"gives \[2, 5\]"):
        largest_difference("small.pt", "nets.py:other", "other.safetensors", OPTIONS)
    report = api.inject("small.pt", "nets.py:other", "again.safetensors", options=replace(OPTIONS, verify=True))
    assert report.verification is None and "[2, 7]" in report.warnings[0]
    with pytest.raises(TliError, match="--source-arch"):
        largest_difference("small.pt", "nets.py:other", "other.safetensors", replace(OPTIONS, source_arch=None))


@pytest.mark.parametrize("words", [12, 6])
def test_of_another_vocabulary_the_shared_words_are_compared(folder, words):
    scope: dict[str, object] = {}
    exec(NETS, scope)
    torch.save(scope["Words"]().state_dict(), folder / "words.pt")  # type: ignore[operator]
    options = Options(source_arch="nets.py:Words", verify=True)
    report = api.inject("words.pt", f"nets.py:Words?words={words}", "more.safetensors", options=options)
    assert report.verification == 0 and not report.warnings


def test_outputs_are_found_in_what_models_give():
    logits = torch.zeros(2, 3)
    for value in (logits, (logits, 1), {"out": logits}, SimpleNamespace(logits=logits)):
        assert output_of(value) is logits
    with pytest.raises(TliError, match="NoneType"):
        output_of(None)


def test_random_input_has_the_samples_shapes():
    sample = (torch.empty(2, 3, 4, device="meta"), torch.empty(2, 5, dtype=torch.int64, device="meta"))
    given = random_like(sample, 0)
    assert [t.shape for t in given] == [t.shape for t in sample] and given[0].dtype == torch.float64
