from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from tests.hostile.conftest import bounded
from tests.models import NETS, randomised
from tli_cli import match
from tli_cli.cli import run
from tli_cli.plan import MAX_LENGTH

OUT = "out.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, a wider and deeper target, and a plan between them, as `tli match -o` writes it."""
    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("plans")
    for name, sizes in (("source", {}), ("target", {"width": 12, "depth": 3})):
        state = randomised(NETS["resnet"](**sizes), 1).state_dict()
        save_file({**state, "scale": torch.tensor(2.5), "empty": torch.empty(0, 3)}, home / f"{name}.safetensors")
    plan = match(str(home / "source.safetensors"), str(home / "target.safetensors"))
    assert {step.resizer for step in plan.steps} >= {"copy", "maps"}
    (home / "plan.json").write_text(plan.to_json())
    return home


@pytest.fixture
def plan(folder: Path) -> Any:
    return json.loads((folder / "plan.json").read_text())


def carry_out(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run `tli inject` with a plan; return its exit code and what it said. Nothing but a whole result is left."""
    (folder / "edited.json").write_text(text)
    before = sorted(folder.iterdir())
    command = ["inject", str(folder / "source.safetensors"), "-t", str(folder / "target.safetensors")]
    capsys.readouterr()
    code = run([*command, "--plan", str(folder / "edited.json"), "-o", str(folder / OUT)])
    said = capsys.readouterr().err
    if code == 0:
        with safe_open(folder / OUT, "pt") as made, safe_open(folder / "target.safetensors", "pt") as wanted:
            assert set(made.keys()) == set(wanted.keys())
            for name in wanted.keys():  # noqa: SIM118
                assert made.get_tensor(name).shape == wanted.get_tensor(name).shape
        (folder / OUT).unlink()
    else:
        assert code == 1, said
        assert said.count("error: ") == 1 and "Traceback" not in said and len(said) < 4000, said
    assert sorted(folder.iterdir()) == before
    return code, said


def step_of(plan: Any, target: str) -> Any:
    return next(step for step in plan["steps"] if step["target"] == target)


def piece_of(plan: Any, target: str = "conv1.weight") -> Any:
    return step_of(plan, target)["pieces"][0]


def map_of(plan: Any) -> Any:
    """Return the map that widens the stem's channels."""
    return plan["maps"][piece_of(plan)["axes"][0]]


def put(holder: Callable[[Any], Any], **fields: Any) -> Callable[[Any], None]:
    return lambda plan: holder(plan).update(fields)


def stem(plan: Any) -> Any:
    return step_of(plan, "conv1.weight")


EDITS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a newer version": (lambda p: p.update(version=2), "upgrade tli"),
    "no version": (lambda p: p.pop("version"), "version"),
    "no steps": (lambda p: p.pop("steps"), "a field 'steps'"),
    "an unknown field": (lambda p: p.update(colour=1), "'colour'"),
    "an unknown field of a step": (put(stem, colour=1), "'colour'"),
    "a missing field of a piece": (lambda p: piece_of(p).pop("source"), "pieces[0]: expected a field 'source'"),
    "steps that are text": (lambda p: p.update(steps="all"), "plan.steps: expected a list"),
    "a step that is a list": (lambda p: p["steps"].insert(0, []), "plan.steps[0]: expected an object"),
    "a shape of text": (put(stem, shape=["a"]), "whole number"),
    "a shape of fractions": (put(stem, shape=[12.0, 3, 3, 3]), "whole number"),
    "a lie about the target's shape": (put(stem, shape=[13, 3, 3, 3]), "the plan says [13, 3, 3, 3]"),
    "a lie about the source's shape": (put(piece_of, source_shape=[9, 3, 3, 3]), "it is [8, 3, 3, 3]"),
    "an unknown target": (put(stem, target="conv9.weight"), "conv9.weight: the target has no such tensor"),
    "an unknown source": (put(piece_of, source="conv9.weight"), "no tensor 'conv9.weight'"),
    "a source that is no index": (put(piece_of, model=1), "no source 1"),
    "a source below zero": (put(piece_of, model=-1), "no source -1"),
    "one source too many": (lambda p: p["sources"].append(p["sources"][0]), "2 sources, 1 are given"),
    "no sources": (lambda p: p.update(sources=[]), "0 sources"),
    "a missing step": (lambda p: p["steps"].remove(stem(p)), "conv1.weight: no step"),
    "a step twice": (lambda p: p["steps"].append(stem(p)), "conv1.weight: 2 steps"),
    "another target": (lambda p: p["target"].update(fingerprint="0" * 16), "target: made for"),
    "another source": (lambda p: p["sources"][0].update(fingerprint="0" * 16), "source: made for"),
    "an unknown action": (put(stem, action="move"), "unknown action 'move'"),
    "an unknown resizer": (put(stem, resizer="comboo"), "did you mean 'combo'?"),
    "an unknown start": (put(stem, initial="twos"), "unknown initial value"),
    "no identity": (
        lambda p: step_of(p, "bn1.weight").update(action="keep", pieces=[], initial="identity"),
        "identity",
    ),
    "kept with pieces": (put(stem, action="keep"), "yet has pieces"),
    "transferred from nothing": (put(stem, pieces=[]), "transferred from nothing"),
    "a fit without fits": (put(stem, resizer="fit"), "has no fits"),
    "a copy of another size": (put(stem, resizer="copy"), "gives [8, 3, 3, 3], expected [12, 3, 3, 3]"),
    "an empty source": (
        lambda p: (stem(p).update(resizer="crop"), piece_of(p).update(source="empty", source_shape=[0, 3], axes=[])),
        "is empty",
    ),
    "a part that ends beyond": (put(piece_of, source_range=[0, 0, 9]), "is not in"),
    "a part that begins below": (put(piece_of, source_range=[0, -1, 8]), "is not in"),
    "a part the wrong way round": (put(piece_of, target_range=[0, 8, 4]), "is not in"),
    "a part of an axis that is not": (put(piece_of, target_range=[4, 0, 1]), "is not in"),
    "a part of a view that is not": (put(piece_of, target_range=[1, 0, 1], target_view=[3, 4, 27]), "seen as three"),
    "a view of another size": (put(piece_of, source_range=[1, 0, 1], source_view=[2, 2, 3, 3, 3, 3]), "is not in"),
    "two numbers for a part": (put(piece_of, source_range=[0, 1]), "a list of 3"),
    "a layout of another size": (
        put(piece_of, layout={"split": [9, 3, 3, 3], "permute": [0, 1, 2, 3], "shape": [8, 3, 3, 3]}),
        "does not reorder",
    ),
    "an axis twice in a layout": (
        put(piece_of, layout={"split": [8, 3, 3, 3], "permute": [0, 1, 1, 3], "shape": [8, 3, 3, 3]}),
        "does not reorder",
    ),
    "a map that is not there": (put(piece_of, axes=[99, 0, 0, 0]), "map 99 is not there"),
    "a map below zero": (put(piece_of, axes=[-1, 0, 0, 0]), "map -1 is not there"),
    "an unknown operation": (put(piece_of, axes=[["/", 0, 0], 0, 0, 0]), "found ('/', 0, 0)"),
    "an empty sum": (put(piece_of, axes=[["+"], 0, 0, 0]), "found ('+',)"),
    "a true axis": (put(piece_of, axes=[True, 0, 0, 0]), "a whole number"),
    "an axis too few": (lambda p: piece_of(p)["axes"].pop(), "3 axes for a source of shape"),
    "a contracted axis that is not": (put(piece_of, contracted=[4]), "contracted axes [4]"),
    "an endless expression": (put(piece_of, axes=[0, 0, 0, json.loads("[" * 500 + "]" * 500)]), "lists in each other"),
    "an infinite weight": (put(piece_of, weight=1e999), "not a plan"),
    "a weight that is not a number": (put(piece_of, weight=float("nan")), "NaN"),
    "a gain of text": (put(piece_of, gain="1"), "a finite number, found '1'"),
    "a gain that is true": (put(piece_of, gain=True), "a finite number, found true or false"),
    "a seed of 70 bits": (lambda p: p.update(seed=1 << 70), "63 bits"),
    "a terminal's commands": (put(stem, reason="\x1b[2J"), "control characters"),
    "half a character": (lambda p: p.update(method="\ud800"), "plan.method: expected text"),
    "an unknown rule": (lambda p: map_of(p).update(rule="widdn"), "did you mean 'widen'?"),
    "a rule that cannot": (lambda p: map_of(p).update(rule="strongest"), "cannot give 12 from 8"),
    "a rule that leaves all as it is": (lambda p: map_of(p).update(rule="same"), "cannot give 12 from 8"),
    "rows below zero": (lambda p: map_of(p).update(rows=-12), "below zero"),
    "rows by the billion": (lambda p: map_of(p).update(rows=1 << 40), "expected [12, 3, 3, 3]"),
    "columns by the billion": (lambda p: map_of(p).update(columns=1 << 40), "the source is [8, 3, 3, 3]"),
    "a matrix by the billion": (
        lambda p: p["maps"].append({"rule": "grid", "rows": 1 << 20, "columns": 1 << 20}),
        "more than",
    ),
    "directions between too many": (
        lambda p: p["maps"].append({"rule": "directions", "rows": 1, "columns": 1 << 20}),
        "more than",
    ),
    "a norm before along no axis": (put(piece_of, fold={"before": "bn1.weight", "axis": 7}), "cannot be folded"),
    "a norm before along one below": (put(piece_of, fold={"before": "bn1.weight", "axis": -4}), "cannot be folded"),
    "a norm before that is not there": (put(piece_of, fold={"before": "bn0.weight"}), "no tensor 'bn0.weight'"),
    "an index too short": (lambda p: map_of(p).update(index=[0]), "expected 12 source indices"),
    "an index beyond": (lambda p: map_of(p).update(index=[8] * 12), "from -1 to 7"),
    "an index below": (lambda p: map_of(p).update(index=[-2] * 12), "from -1 to 7"),
    "a member that is not there": (
        lambda p: map_of(p).update(rule="even", members=[[0, "nothing", 0, 0, 8, 1, 1]]),
        "the member",
    ),
    "a member of another size": (
        lambda p: map_of(p).update(members=[[0, "conv1.weight", 0, 0, 8, 2, 1]]),
        "the member",
    ),
    "a member without an end": (lambda p: map_of(p).update(members=[[0, "conv1.weight", 0]]), "the member"),
    "a fit of modules that are not": (
        lambda p: p.update(fits=[{"target": {"layer": "x"}, "source": {"layer": "y"}, "channels": 0}]),
        "no module 'x'",
    ),
    "a fit with a function of its own": (
        lambda p: p.update(
            fits=[{"target": {"layer": "fc", "activation": "warnings"}, "source": {"layer": "fc"}, "channels": 0}]
        ),
        "no activation 'warnings'",
    ),
    "a score above one": (lambda p: p.update(score="1"), "a finite number"),
}


@pytest.mark.parametrize("kind", EDITS)
def test_a_plan_that_does_not_fit_is_one_message(
    folder: Path, plan: Any, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit, words = EDITS[kind]
    edit(plan)
    code, said = carry_out(folder, json.dumps(plan), capsys)
    assert code == 1 and words in said, said
    assert "edited.json" in said or "make it again" in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        '{"version": 1, "version": 1}',
        '{"version": 1, "steps": ' + "[" * 100_000,
        '{"version": ' + "9" * 5000 + "}",
        "[" * (5 << 20),
        '{"version": 1, "unused": [' + "1," * (MAX_LENGTH // 16) + "1]}",
        '{"version": 1, "steps": [' + "[]," * (4 << 20) + "[]]}",
        " " * (MAX_LENGTH + 1),
    ],
    ids=["empty", "text", "a key twice", "deep", "a long number", "brackets", "numbers", "lists", "long"],
)
def test_text_that_is_no_plan_takes_neither_time_nor_memory(
    folder: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with bounded():
        code, said = carry_out(folder, text, capsys)
    assert code == 1 and "edited.json: " in said


def test_the_plan_itself_is_carried_out(folder: Path, plan: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert carry_out(folder, json.dumps(plan), capsys)[0] == 0


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in `value`."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


odd = st.sampled_from(
    [None, True, -1, 0, 1, 2, 7, 1 << 20, 1 << 62, 0.5, -1e300, "", "x", "copy", "maps", "crop", "conv1.weight", [], {}]
)


def changed(plan: Any, data: st.DataObject) -> str:
    """Return `plan` with a few values replaced, removed or repeated, anywhere."""
    edited = copy.deepcopy(plan)
    part = data.draw(st.sampled_from(["steps", "maps", None]))
    for _ in range(data.draw(st.integers(1, 3))):
        below = edited if part is None else data.draw(st.sampled_from(edited[part])) if edited[part] else edited
        ways = list(places(below))
        if not ways:
            continue
        *outer, last = data.draw(st.sampled_from(ways))
        for key in outer:
            below = below[key]
        how = data.draw(st.sampled_from(["replace", "remove", "repeat"]))
        if how == "replace":
            below[last] = data.draw(odd)
        elif how == "remove":
            del below[last]
        elif isinstance(below, list):
            below.append(below[last])
    return json.dumps(edited)


@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.whole)])
def test_a_plan_with_values_changed_anywhere_is_carried_out_or_refused(
    folder: Path, plan: Any, capsys: pytest.CaptureFixture[str], examples: int
) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.data())
    def changed_anywhere(data: st.DataObject) -> None:
        carry_out(folder, changed(plan, data), capsys)

    changed_anywhere()
