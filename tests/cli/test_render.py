from __future__ import annotations

import csv
import io
import json

from rich.console import Console

from tli_cli.cli import render, render_score
from tli_cli.cli.render import Style
from tli_cli.cli.render_plan import pairing_table, plan_parts, render_plan
from tli_cli.cli.render_rank import ranking_parts
from tli_cli.cli.rows import Row, layer_rows, tensor_rows
from tli_cli.cli.text import join_names, score_text, shape_text, share_text, similarity_text, size_text
from tli_cli.plan import Plan
from tli_cli.ranking import Candidate, Ranking
from tli_cli.scoring.score import Score


def test_match_table(plan, as_text, check_golden):
    check_golden("match.txt", as_text(plan_parts(plan)))


def test_match_table_of_every_tensor(plan, as_text, check_golden):
    check_golden("match-all.txt", as_text(plan_parts(plan, every=True)))


def test_plain_lines_have_one_row_a_tensor(plan, capsys, check_golden):
    render_plan(plan, Style.PLAIN)
    out, err = capsys.readouterr()
    assert [line.split("\t")[0] for line in out.splitlines()] == [step.target for step in plan.steps]
    assert {line.count("\t") for line in out.splitlines()} == {6}
    assert "score 0.8123" in err and "the order of the source's layers" in err
    check_golden("match.tsv", out)


def test_csv_has_a_header_and_the_same_rows(plan, capsys):
    render_plan(plan, Style.CSV)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["target"] for row in rows] == [step.target for step in plan.steps]
    assert rows[1]["source_shape"] == "16x16x3x3" and rows[1]["similarity"] == "0.75"


def test_json_is_the_plan(plan, capsys):
    render_plan(plan, Style.JSON)
    assert Plan.from_json(capsys.readouterr().out) == plan


def test_every_tensor_stands_in_one_row_of_either_kind(plan):
    assert [row.target for row in tensor_rows(plan)] == [step.target for step in plan.steps]
    assert [row.target for row in layer_rows(plan)] == ["stem", "layer1.0.conv", "layer1.0.bn", "attn.qkv", "fc"]


def test_json_value_names_its_version(capsys):
    render.as_json({"a": 1})
    assert json.loads(capsys.readouterr().out) == {"version": 1, "a": 1}


def test_a_message_of_megabytes_is_cut_in_its_midst(capsys):
    render.fail("model.pt: the name " + "x" * 3_000_000 + " is no name\n  - save the file again")
    first, second = capsys.readouterr().err.splitlines()
    assert len(first) < 2100 and first.startswith("error: model.pt: ") and first.endswith("x is no name")
    assert second == "  - save the file again"


def test_only_one_reads_as_one():
    assert similarity_text(0.99999) == "0.99" and similarity_text(1.0) == "1.00"
    assert score_text(0.99999) == "0.9999" and score_text(1.0) == "1.0000"
    assert share_text(0.99999) == "99.9 %" and share_text(1.0) == "100.0 %"


def test_short_texts():
    assert shape_text((64, 3, 7, 7)) == "64x3x7x7" and shape_text(()) == "scalar"
    assert size_text(999) == "999 B" and size_text(97_800_000) == "97.8 MB" and size_text(10**13) == "10000.0 GB"


def test_join_names_says_what_is_shared_once():
    assert join_names(["a.q.w", "a.k.w", "a.v.w"]) == "a.{q,k,v}.w"
    assert join_names(["conv", "bn"]) == "{conv,bn}"
    assert join_names(["a.b", "a.b.c"]) == "a.{b,b.c}"
    assert join_names(["x", "x"]) == "x" and join_names([]) == ""


def test_a_terminal_in_which_names_would_be_broken_shows_no_shapes(plan, as_text, monkeypatch):
    wide = as_text(plan_parts(plan)).splitlines()
    monkeypatch.setenv("COLUMNS", "60")
    narrow = as_text(plan_parts(plan)).splitlines()
    assert any(line.startswith("target") and "shape" in line for line in wide)
    assert any(line.startswith("stem.conv ") or line.startswith("stem ") for line in narrow)
    assert all(any(name in line for line in narrow) for name in ("layer1.0", "body.0.conv", "self.{q,k,v}"))
    assert any(line.split() == ["target", "source", "how", "sim"] for line in narrow)


def test_where_names_would_still_be_broken_the_path_of_a_blocks_sources_stands_in_its_heading(as_text, monkeypatch):
    there = "vision_tower.encoder.layers.0"
    fed = [("norm", "layer_norm_before"), ("attn", "attention.{q,k,v}_proj"), ("fc", "intermediate.dense")]
    rows = [Row("body.0", f"body.0.{n}", "8", f"{there}.{source}", "8", "exact", 1, True, True) for n, source in fed]
    rows.append(Row("body.0", "body.0.new", "8", "", "", "not fed: zeros", 0, False, False))
    assert any(f"{there}.intermediate.dense" in line for line in as_text([pairing_table(rows)]).splitlines())
    monkeypatch.setenv("COLUMNS", "60")
    narrow = [line.split() for line in as_text([pairing_table(rows)]).splitlines()]
    assert ["body.0", there] in narrow and ["fc", "intermediate.dense", "exact", "1.00"] in narrow


def test_a_number_is_whole_in_the_narrowest_terminal():
    scored = render_score.score_parts(Score("resnet18", "resnet34", 0.5, 0.5, 1.0, 1.0))
    ranked = ranking_parts(Ranking("net", ()), [Candidate("resnet18", 0.5, 1.0, 1_000, 3, 2, 1)])
    console = Console(file=io.StringIO(), width=44)
    console.print(*scored, *ranked)
    shown = console.file.getvalue()
    assert shown.count(" 0.5000 ") == 4 and shown.count("100.0 %") == 3 and "…" not in shown
