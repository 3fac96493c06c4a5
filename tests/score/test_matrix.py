"""The matrix of many models: its entries, its formats, what names it, and going on after an interrupt."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.score.conftest import MIXED, Tli, matrix_of, write_header
from tli_cli import api, catalogue
from tli_cli.errors import TliError
from tli_cli.matching import MATCHERS
from tli_cli.matching.sides import Side
from tli_cli.matrices.matrix import score_all
from tli_cli.matrices.rows import RowScores, Sides
from tli_cli.options import Options
from tli_cli.scoring.score import score_matching

FEW = ("resnet18", "timm:resnet18d", "timm:mobilenetv3_small_050", "timm:vit_tiny_patch16_224")
MOST_LAYERS = 150
"""Larger networks take longer and show no more."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[list[float]]]:
    """Return names and values of a matrix with a file and a name that stands for it."""
    file = write_header(catalogue.load("resnet18"), tmp_path_factory.mktemp("files") / "r18.safetensors")
    done = run_apart("score", *FEW, str(file), "--json")
    return matrix_of(done.stdout)


def run_apart(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tli_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def test_rows_are_sources_and_columns_are_targets(printed):
    names, values = printed
    assert names[:4] == list(FEW) and names[4].endswith("r18.safetensors")
    for i, source in enumerate(names):
        for j, target in enumerate(names):
            assert values[i][j] == api.score(source, target).forward, (source, target)
    assert values[0][4] == values[4][0] == 1 and values[0][1] != values[1][0]


def test_entries_of_a_sample_are_the_scores_of_single_pairs():
    rng = random.Random(3)
    loaded = map(catalogue.load, rng.sample(sorted(map(str, catalogue.names())), 24))
    architectures = [architecture for architecture in loaded if len(architecture.layers) < MOST_LAYERS]
    rows = RowScores(Sides([Side.kept(a) for a in architectures]), "dp")
    match = MATCHERS.get("dp")
    for target in rng.sample(range(len(architectures)), 8):
        found = rows.row(target)
        for source in rng.sample(range(len(architectures)), 8):
            assert found[source] == score_matching(match(architectures[source], architectures[target]))


def test_path_has_a_matrix_too():
    names = ["timm:resnet10t", "timm:mobilenetv3_small_050"]
    matrix = score_all(names, matcher="path")
    for i, source in enumerate(names):
        for j, target in enumerate(names):
            assert matrix.values[i][j] == api.score(source, target, options=Options(matcher="path")).forward
    assert matrix.values != score_all(names).values


def test_the_order_of_names_and_the_number_of_processes_change_nothing():
    names = list(MIXED)
    one, two = score_all(names, jobs=1), score_all(names[::-1] * 3, jobs=2)
    assert [list(row) for row in one.values] == [list(row[::-1]) for row in two.values[::-1]]
    assert two.names == tuple(names[::-1])


def test_csv_has_a_header_and_all_digits(tli: Tli, printed):
    out, err = tli("score", *FEW, "--csv")
    head, *rows = csv.reader(io.StringIO(out))
    assert not err and head == ["source", *FEW]
    assert [row[0] for row in rows] == list(FEW)
    assert [[float(cell) for cell in row[1:]] for row in rows] == [row[:4] for row in printed[1][:4]]


def test_json_says_its_version_first(tli: Tli):
    out, _ = tli("score", "resnet18", "resnet34", "timm:resnet10t", "--json")
    value = json.loads(out)
    assert list(value) == ["version", "names", "matrix", "matcher"] and value["matcher"] == "dp"


def test_globs_stand_for_names_of_the_catalogue_and_nothing_is_named_twice(tli: Tli):
    names, values = matrix_of(tli("score", "timm:resnet1?d", "timm:resnet18d", "resnet18", "--json")[0])
    assert names == ["timm:resnet18d", "resnet18"] and len(values) == len(values[0]) == 2
    names, _ = matrix_of(tli("score", "timm:mobilenetv3_small*0", "--json")[0])
    known = [str(name) for name in catalogue.names("timm:mobilenetv3_small*0")]
    assert names == known and len(known) == 2


def test_names_come_from_a_file(tli: Tli, tmp_path, monkeypatch):
    listed = tmp_path / "names.txt"
    listed.write_text("# small ones\nresnet18\n\n  timm:resnet10t  # smaller\n")
    names, _ = matrix_of(tli("score", "--from-file", listed, "--json")[0])
    assert names == ["resnet18", "timm:resnet10t"]
    listed.write_text("# none\n")
    assert "expected one reference a line" in tli("score", "--from-file", listed, code=1)[1]
    assert "no/such.txt" in tli("score", "--from-file", "no/such.txt", code=1)[1]
    listed.write_bytes(b"\xd3\x00resnet18")
    assert "in UTF-8" in tli("score", "--from-file", listed, code=1)[1]
    listed.write_text("resnet18\nresnet\x00\n")
    assert "names.txt, line 2: expected a reference" in tli("score", "--from-file", listed, code=1)[1]
    listed.write_text("resnet18\n")
    assert "names.txt: expected two references" in tli("score", "--from-file", listed, code=1)[1]
    monkeypatch.setattr("sys.stdin", io.StringIO("resnet18\nresnet34\n"))
    assert matrix_of(tli("score", "--from-file", "-", "--json")[0])[0] == ["resnet18", "resnet34"]


@pytest.mark.parametrize(("name", "found"), [("resnot", "unknown architecture"), ("timm:nothing*", "matches no name")])
def test_a_name_in_a_file_that_is_not_known_is_told_with_its_line(tli: Tli, tmp_path, name, found):
    listed = tmp_path / "names.txt"
    listed.write_text(f"# small ones\nresnet18\n\n{name}  # no such\n")
    out, err = tli("score", "--from-file", listed, code=1)
    assert not out and err.startswith(f"error: {listed}, line 4: ") and found in err and err.count("\n") == 1


def test_all_names_that_are_not_known_are_said_at_once(tli: Tli):
    out, err = tli("score", "resnet18", "resnet19", "resnet34", "not_a_net", code=1)
    assert not out and "resnet19" in err and "not_a_net" in err and "resnet34" not in err.split("did you mean")[0]
    assert "matches no name" in tli("score", "timm:nothing*", code=1)[1]
    assert "resnet19" in tli("score", "resnet19", "resnet18", code=1)[1]


@pytest.mark.parametrize("option", [("--min", "0.5"), ("--source-arch", "resnet18"), ("--num-classes", "3")])
def test_what_says_something_of_one_pair_is_refused_for_many(option, tli: Tli):
    _, err = tli("score", *FEW, *option, code=2)
    assert option[0] in err


STOPPED = """
import os, signal, sys, time
from tli_cli.matrices.kept_rows import KeptRows
from tli_cli.cli import run

signal.signal(signal.SIGINT, signal.default_int_handler)
kept = []
add = KeptRows.add
def add_and_stop(store, *row):
    add(store, *row)
    kept.append(row)
    if len(kept) == 3:
        {stop}
KeptRows.add = add_and_stop
sys.exit(run(sys.argv[1:]))
"""
"""A run of `tli` that does something else once three rows are kept; it can be interrupted even if the tests cannot, as
where they are run in the background."""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    names = [str(name) for name in catalogue.names("timm:regnetx*")][:8]
    resume = tmp_path / "rows.jsonl"
    code = STOPPED.format(stop="os.kill(os.getpid(), signal.SIGKILL)")
    command = [sys.executable, "-c", code, "score", *names, "--json", "--jobs", "1", "--resume", str(resume)]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, timeout=120).returncode == -signal.SIGKILL
    kept = resume.read_text().splitlines()[1:]
    assert len(kept) == 3
    with resume.open("a") as file:
        file.write('{"target": 7, "sco')  # what a kill in the midst of a line leaves
    told: list[int] = []
    found = score_all(names, resume=resume, progress=lambda done, of, name: told.append(done))
    assert found == score_all(names)
    assert len(told) == len(names) + len(names) - len(kept), "rows that were kept must not be worked out again"
    assert score_all(names, resume=resume) == found
    lines = [json.loads(line) for line in resume.read_text().splitlines() if line.endswith("}")]
    assert sorted(line["target"] for line in lines[1:]) == list(range(len(names)))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a diary\n", b'{"version": 1, "key": "0123456789abcdef"}\n'])
def test_a_file_of_something_else_is_not_gone_on_with(tli: Tli, tmp_path, content):
    other = tmp_path / "other.jsonl"
    other.write_bytes(content)
    assert "other.jsonl: not begun" in tli("score", *FEW, "--resume", other, code=1)[1]
    assert other.read_bytes() == content


@pytest.mark.parametrize(
    "row", ['"scores": 5', '"scores": "ab"', '"scores": [NaN, 1]', '"scores": [2, 1]', '"scores": [[], 1]', '"x": 0']
)
def test_rows_that_are_none_are_worked_out_again(tli: Tli, tmp_path, row):
    pair, kept = FEW[:2], tmp_path / "rows.jsonl"
    right = tli("score", *pair, "--resume", kept, "--json")[0]
    header = kept.read_text().splitlines()[0]
    kept.write_text(f'{header}\n{{"target": 0, {row}}}\n{{"target": [], "scores": [0, 0]}}\n[]\n')
    assert tli("score", *pair, "--resume", kept, "--json")[0] == right


def wait_for_lines(path: Path, count: int) -> None:
    for _ in range(1200):
        if path.exists() and path.read_text().count("\n") > count:
            return
        time.sleep(0.05)
    raise AssertionError("no rows in a minute")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_an_interrupt_leaves_no_process_and_no_traceback(tmp_path):
    resume = tmp_path / "rows.jsonl"
    code = STOPPED.format(stop="time.sleep(100)")
    command = [sys.executable, "-c", code, "score", "timm:regnetx*", "--jobs", "2", "--resume", str(resume)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for_lines(resume, 3)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and not out and "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_rows_of_other_models_are_not_taken(tmp_path):
    resume = tmp_path / "rows.jsonl"
    score_all(["resnet18", "timm:resnet10t"], resume=resume)
    with pytest.raises(TliError, match="not begun with these models"):
        score_all(["resnet18", "timm:resnet18d"], resume=resume)
    notes = tmp_path / "notes.txt"
    notes.write_text("my own notes\n")
    with pytest.raises(TliError, match=r"notes\.txt"):
        score_all(["resnet18", "timm:resnet10t"], resume=notes)
    assert notes.read_text() == "my own notes\n"
