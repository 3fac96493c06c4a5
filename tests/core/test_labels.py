"""Classes that are called alike keep their rows, whatever their order; what names them lies beside the models."""

from __future__ import annotations

import json
from math import prod
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tli_cli import Options, apply_tli
from tli_cli.api import inject, match
from tli_cli.errors import TliError
from tli_cli.references.labels import labels_in

OLD, NEW = ["cat", "dog", "polar bear", "Fox"], ["fox", "cow", "cat", "polar bear"]


def classifier(classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def save(name: str, labels: list[str], config: dict[str, object] | None = None) -> dict[str, torch.Tensor]:
    state = classifier(len(labels)).state_dict()
    save_file(state, f"{name}/model.safetensors")
    named = {"id2label": {str(row): label for row, label in enumerate(labels)}} if config is None else config
    with open(f"{name}/config.json", "w") as file:
        json.dump(named, file)
    return state


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_rows_go_by_label(folders):
    old, own = save("old", OLD), save("new", NEW)
    inject("old", "new", "out.safetensors", options=Options(head="map"))
    made = load_file("out.safetensors")
    assert made["4.weight"][[0, 2, 3]].equal(old["4.weight"][[3, 0, 2]])
    assert made["4.weight"][1].equal(own["4.weight"][1]) and made["0.weight"].equal(old["0.weight"])


@pytest.mark.parametrize(("head", "said"), [("map", ["head: 3 of 4 classes take a row"]), ("keep", [])])
def test_rows_that_the_source_lacks_do_not_count_as_fed(folders, head, said):
    save("old", OLD if head == "map" else OLD[:3])
    save("new", NEW)
    plan = match("old", "new", options=Options(head=head))
    fed = sum(prod(step.shape) * (3 / 4 if "4." in step.target else 1) for step in plan.steps)
    assert plan.coverage == pytest.approx(fed / sum(prod(step.shape) for step in plan.steps))
    assert [note.partition(" of the source")[0] for note in plan.notes if note.startswith("head")] == said


@pytest.mark.parametrize("text", ["cow\tpolar bear\n0\tdog\n", "cow,polar bear\n# next\n0, dog\n", "cow 2\nfox dog\n"])
def test_a_file_may_name_labels(text, folders):
    old = save("old", OLD)
    save("new", NEW)
    (folders / "rows.txt").write_text(text)
    inject("old", "new", "out.safetensors", options=Options(head="map:rows.txt"))
    assert load_file("out.safetensors")["4.bias"][[1, 0]].equal(old["4.bias"][[2, 1]])


@pytest.mark.parametrize(
    ("text", "words"),
    [("cow bear\n", ("line 1", "label of the source", "'bear'")), ("dgo dog\n", ("label of the target",)),
     ("cow polar bear\n", ("line 1", "cow polar bear")), ("cow cat\n1 dog\n", ("line 2", "twice")),
     ("# none\n", ("none",)), ("cow doog\n", ("did you mean 'dog'",))],
)  # fmt: skip
def test_a_label_that_is_not_there_is_told(text, words, folders):
    save("old", OLD)
    save("new", NEW)
    (folders / "rows.txt").write_text(text)
    with pytest.raises(TliError) as told:
        match("old", "new", options=Options(head="map:rows.txt"))
    assert all(word in str(told.value) for word in ("rows.txt", *words)), told.value


@pytest.mark.parametrize(
    "config", [{}, {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, {"id2label": [1]}, {"label_names": 3}]
)
def test_without_labels_it_is_said_whose_are_not_known(config, folders):
    save("old", OLD)
    save("new", NEW, config)
    with pytest.raises(TliError, match=r"labels of the target are not known.*id2label"):
        match("old", "new", options=Options(head="map"))
    save("new", ["a", "b"])
    with pytest.raises(TliError, match="no label of the target is one of the source"):
        match("old", "new", options=Options(head="map"))


def test_as_many_classes_under_other_names_are_copied_and_it_is_said(folders):
    save("old", OLD)
    save("new", NEW)
    plan = match("old", "new")
    assert plan.exact == len(plan.steps)
    assert any("4 of 4 classes are not called" in note and "--head map" in note for note in plan.notes)
    save("new", OLD)
    assert not any("classes" in note for note in match("old", "new").notes)


def test_labels_of_transformers_and_timm():
    assert labels_in({"id2label": {"0": "a", "1": "b", "2": "b", "x": "c"}}) == {"a": 0}
    assert labels_in({"label2id": {"a": 3, "b": "4"}}) == {"a": 3, "b": 4}
    assert labels_in({"label_names": ["a", "b"]}) == {"a": 0, "b": 1}


def test_a_live_model_is_taught_by_label():
    old, new = classifier(4), classifier(4)
    for model, labels in ((old, OLD), (new, NEW)):
        model.config = SimpleNamespace(id2label=dict(enumerate(labels)))
    apply_tli(new, old, example=(1, 3, 8, 8), options=Options(head="map"))
    assert new[4].weight[[0, 2, 3]].equal(old[4].weight[[3, 0, 2]])
