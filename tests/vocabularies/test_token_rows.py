"""Rows of embeddings, heads and their biases follow the token, not the index: real tokenisers, trained on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

import tli_cli
from tests.test_imports import run_without_torch
from tests.vocabularies.conftest import MORE, NETS, TEXT, TRAINERS
from tli_cli import api
from tli_cli.errors import TliError
from tli_cli.fitting.carry_out import known_to_both
from tli_cli.options import Options
from tli_cli.plan import Plan

OPTIONS = Options(force=True)
TABLES = ("embed.weight", "head.weight", "head.bias")


@cache  # what is trained twice is not quite the same: ties are broken as they come
def trained(kind: str, *, other: bool = False, size: int = 300) -> Tokenizer:
    return TRAINERS[kind](MORE if other else TEXT, size)


def shared(source: Tokenizer, target: Tokenizer) -> list[tuple[int, int]]:
    """Return the rows in target and source of all tokens that are written alike."""
    known = source.get_vocab()
    return [(row, known[token]) for token, row in target.get_vocab().items() if token in known]


@pytest.mark.parametrize("kind", TRAINERS)
@pytest.mark.parametrize("form", ["code", "bare"])
def test_the_same_token_has_the_same_row(kind, form, model):
    source, target = trained(kind), trained(kind, other=True, size=350)
    before, after = model("source", source), model("target", target, more=9)
    options, reference = OPTIONS, "target"
    if form == "code":
        options = replace(OPTIONS, source_arch=f"nets.py:Words?words={before}", target_tokenizer="target")
        reference = f"nets.py:Words?words={after}"
    report = api.inject("source", reference, "out.safetensors", options=options)
    made, held = load_file("out.safetensors"), load_file("source/model.safetensors")
    pairs = shared(source, target)
    rows, taken = map(list, zip(*pairs, strict=True))
    assert len(pairs) > 10 and rows != taken
    for name in TABLES:
        assert torch.equal(made[name][rows], held[name][taken])
        assert len(made[name]) == after
        assert torch.allclose(made[name][after - 9 :], held[name].mean(0), atol=1e-6)
    assert torch.equal(made["norm.weight"], held["norm.weight"])
    assert {s.target for s in report.plan.steps if not s.exact} >= set(TABLES)
    assert any("tokens keep their rows" in note for note in report.plan.notes)


@pytest.mark.parametrize(("first", "second"), [p for p in product(TRAINERS, TRAINERS) if p[0] != p[1]])
def test_a_word_is_found_in_another_convention(first, second, model):
    source, target = trained(first), trained(second)
    model("source", source)
    model("target", target)
    api.inject("source", "target", "out.safetensors", options=OPTIONS)
    made, held = load_file("out.safetensors"), load_file("source/model.safetensors")
    begins = {"bytes": "Ġ{}", "words": "{}", "pieces": "▁{}"}
    found = [
        (target.token_to_id(begins[second].format(word)), source.token_to_id(begins[first].format(word)))
        for word in ("the", "of", "network", "rows", "start")
    ]
    known = [(row, taken) for row, taken in found if None not in (row, taken)]
    assert known
    for row, taken in known:
        assert torch.equal(made["embed.weight"][row], held["embed.weight"][taken])


def test_a_new_token_starts_as_the_mean_of_its_pieces(model):
    source, target = trained("bytes", size=270), trained("bytes", other=True, size=420)
    model("source", source)
    model("target", target)
    api.inject("source", "target", "out.safetensors", options=OPTIONS)
    made, held = load_file("out.safetensors"), load_file("source/model.safetensors")
    ways = {token: list(_halves(token, source)) for token in target.get_vocab() if source.token_to_id(token) is None}
    sure = {token: found[0] for token, found in ways.items() if len(found) == 1}
    assert sure
    for name, (token, parts) in product(TABLES, sure.items()):
        assert torch.allclose(made[name][target.token_to_id(token)], held[name][parts].mean(0), atol=1e-6)


def _halves(token: str, source: Tokenizer) -> Iterator[list[int]]:
    """Yield the ways to cut `token` into two of `source`; without its space, a word is one."""
    for i in range(1, len(token)):
        parts = [source.token_to_id(part) for part in (token[:i], token[i:])]
        if None not in parts and token[:i] != "Ġ":
            yield parts


@pytest.mark.parametrize("width", [4, 8, 6])
def test_a_wider_target_is_that_of_its_rows(width, model):
    """Rows and channels are mapped apart: the wider embedding is the wider one of the same rows, with and without a
    graph, from file to file and in memory; a head's rows sum over copies of a channel to the same."""
    source, target = trained("words"), trained("words", other=True)
    size = model("source", source)
    after = model("target", target)
    named = f"nets.py:Words?words={after}&width={width}"
    options = replace(OPTIONS, source_arch=f"nets.py:Words?words={size}", target_tokenizer="target")
    api.inject("source", named, "out.safetensors", options=options)
    named, alone = f"nets.py:Words?words={size}&width={width}", replace(options, target_tokenizer="source")
    api.inject("source", named, "wide.safetensors", options=alone)
    wide, made = load_file("wide.safetensors"), load_file("out.safetensors")
    rows, taken = map(list, zip(*shared(source, target), strict=True))
    for name in TABLES:
        found, expected = made[name][rows], wide[name][taken]
        if name == "head.weight" and width == 8:  # each row divides among the copies in its own way
            summed = [part.unflatten(1, (2, 4)).sum(1) for part in (found, expected)]
            assert torch.allclose(*summed, rtol=1e-6, atol=1e-6)
        else:
            assert torch.equal(found, expected), name


def test_a_replayed_plan_gives_the_same_bytes(model, folder):
    model("source", trained("bytes"))
    model("target", trained("pieces", other=True))
    plan = api.match("source", "target")
    api.inject("source", "target", "first.safetensors", options=OPTIONS)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    for name in ("source", "target"):
        (folder / name / "tokenizer.json").unlink()
    api.inject("source", "target", "second.safetensors", plan=again, options=OPTIONS)
    assert (folder / "first.safetensors").read_bytes() == (folder / "second.safetensors").read_bytes()


def test_rows_are_planned_and_moved_without_torch(model):
    model("source", trained("pieces"))
    model("target", trained("bytes", other=True))
    done = run_without_torch("inject", "source", "-t", "target", "-o", "out.safetensors")
    assert done.returncode == 0 and "tokens keep their rows" in done.stderr, done.stderr


def test_what_both_have_is_compared(model):
    source, target = trained("bytes"), trained("bytes", other=True, size=400)
    before, after = model("source", source), model("target", target)
    options = replace(OPTIONS, source_arch=f"nets.py:Words?words={before}", target_tokenizer="target", verify=True)
    report = api.inject("source", f"nets.py:Words?words={after}&width=8", "out.safetensors", options=options)
    assert report.verification is not None and report.verification < 1e-4
    report = api.inject("source", f"nets.py:Words?words={after}", "out.safetensors", options=options)
    assert report.verification == 0 and not report.warnings


def test_a_method_of_shapes_alone_is_said_not_to_know_tokens(model):
    model("source", trained("bytes"))
    model("target", trained("bytes", other=True, size=400))
    plan = api.match("source", "target", options=Options(method="combo"))
    assert plan.by_target["embed.weight"].resizer == "combo" and not any(m.rule == "tokens" for m in plan.maps)
    assert any("rows are not taken by token" in note for note in plan.notes)


def test_a_fit_gives_both_the_tokens_that_they_share(model):
    source, target = trained("pieces"), trained("pieces", other=True)
    model("source", source)
    model("target", target)
    models = [nn.Embedding(made.get_vocab_size(), 2) for made in (target, source)]
    drawn = torch.arange(source.get_vocab_size())[None]
    (mine,), (theirs,) = known_to_both(api.match("source", "target"), *models, ((drawn,), (drawn,)))
    known = dict(shared(source, target))
    given = {int(a): int(b) for a, b in zip(mine[0], theirs[0], strict=True)}
    assert given.items() >= known.items() and len(given) < drawn.numel()


def test_a_live_model_is_taught_by_token(model):
    source, target = trained("pieces"), trained("pieces", other=True)
    model("source", source)
    size = model("target", target, tied=True)
    scope: dict[str, object] = {}
    exec(NETS, scope)
    student = scope["Words"](size, tied=True)  # type: ignore[operator]
    plan = tli_cli.apply_tli(
        student,
        "source/model.safetensors",
        example=torch.zeros(1, 3).long(),
        options=Options(target_tokenizer="target"),
    )
    rows, taken = map(list, zip(*shared(source, target), strict=True))
    held = load_file("source/model.safetensors")
    assert torch.equal(student.embed.weight[rows], held["embed.weight"][taken])
    assert torch.equal(student.head.bias[rows], held["head.bias"][taken])
    assert any("keep their rows" in note for note in plan.notes)


def test_equal_tokenisers_copy_and_say_nothing(model):
    for name in ("source", "target"):
        model(name, trained("words"))
    plan = api.match("source", "target")
    assert plan.exact == len(plan.steps) and not any("vocabulary" in note for note in plan.notes)


def test_without_a_tokeniser_rows_go_by_index_and_it_is_said(model, folder):
    before, after = model("source", trained("words")), model("target", trained("words"), more=9)
    (folder / "target/tokenizer.json").unlink()
    plan = api.match("source", "target")
    assert [note for note in plan.notes if "vocabulary" in note] == [
        f"vocabulary: rows by index, {before} to {after}: "
        "no tokeniser of the target is known; --target-tokenizer can name it"
    ]
    assert plan.by_target["embed.weight"].reason.startswith(f"rows {before}->{after}")


def test_a_tokeniser_that_fits_no_table_is_not_used_and_it_is_said(model):
    model("source", trained("words"))
    model("target", trained("words", other=True), more=900)
    plan = api.match("source", "target")
    assert any("which these tables do not fit" in note for note in plan.notes)


BROKEN = ("", "[", "{}", '{"model": {}}', '{"model": {"vocab": {"a": -1}}}', '{"a": "b"}', '{"model": {"vocab": [1]}}',
          '{"a": 99999999}', "[1]", '{"model": {"vocab": {}}}', "[" * 100_000)  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_tokeniser_is_told(text, model, folder):
    model("source", trained("words"))
    model("target", trained("words", other=True, size=330))
    (folder / "target/tokenizer.json").write_text(text)
    plan = api.match("source", "target")
    assert any("rows by index" in note and "target/tokenizer.json: expected" in note for note in plan.notes)
    with pytest.raises(TliError, match=r"target/tokenizer.json: expected"):
        api.match("source", "target", options=Options(target_tokenizer="target/tokenizer.json"))


def test_a_tokeniser_that_is_not_there_is_told(model):
    model("source", trained("words"))
    with pytest.raises(TliError, match="nowhere: expected a tokeniser's file or directory, found none"):
        api.match("source", "source", options=Options(source_tokenizer="nowhere"))
