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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("new.txt", "\n".join(NEW)),
        ("new.csv", "".join(f"{row},{label}\n" for row, label in enumerate(NEW))),
        ("new.json", json.dumps(NEW)),
        ("new.json", json.dumps(dict(enumerate(NEW)))),
        ("new.json", json.dumps({label: row for row, label in enumerate(NEW)})),
        ("new.json", json.dumps({"label_names": NEW})),
    ],
)
def test_lists_name_classes_where_nothing_beside_a_model_does(name, text, folders):
    old, own = classifier(4), classifier(4)
    for file, model in (("old.pt", old), ("new.pt", own)):
        torch.save(model.state_dict(), file)
    (folders / name).write_text(text)
    (folders / "old.txt").write_text("\n".join(OLD))
    options = Options(head="map", source_labels="old.txt", target_labels=name)
    inject("old.pt", "new.pt", "out.safetensors", options=options)
    assert load_file("out.safetensors")["4.weight"][[0, 2, 3]].equal(old[4].weight[[3, 0, 2]])
    apply_tli(own, old, example=(1, 3, 8, 8), options=options)
    assert own[4].weight[[0, 2, 3]].equal(old[4].weight[[3, 0, 2]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", "source,target\n2,1\ndog,0\n"),
        ("rows.csv", 'target_row,source_row\ncow,"polar bear"\n0,dog\n'),
        ("rows.json", json.dumps({"cow": "polar bear", "0": 1})),
        ("rows.json", json.dumps([[1, 2], ["fox", "dog"]])),
    ],
)
def test_pairs_may_stand_in_tables_and_in_json(name, text, folders):
    old = save("old", OLD)
    save("new", NEW)
    (folders / name).write_text(text)
    inject("old", "new", "out.safetensors", options=Options(head=f"map:{name}"))
    assert load_file("out.safetensors")["4.bias"][[1, 0]].equal(old["4.bias"][[2, 1]])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rows.txt", "fox\ncow\n", "a list of the classes goes to --target-labels"),
        ("rows.json", json.dumps(NEW), "a list of the classes goes to --target-labels"),
        ("rows.json", "{", "expected JSON with pairs of rows"),
    ],
)
def test_what_holds_no_pairs_is_told_where_it_goes(name, text, said, folders):
    save("old", OLD)
    save("new", NEW)
    (folders / name).write_text(text)
    with pytest.raises(TliError) as told:
        match("old", "new", options=Options(head=f"map:{name}"))
    assert said in str(told.value)


def test_a_list_without_names_is_refused(folders):
    save("old", OLD)
    save("new", NEW)
    (folders / "none.txt").write_text("0\n1\n")
    with pytest.raises(TliError, match=r"none.txt: expected one class a line"):
        match("old", "new", options=Options(head="map", target_labels="none.txt"))
