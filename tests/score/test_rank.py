"""`tli rank` and `tli inject --best`: the order, what is searched, what is said."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.score.conftest import SMALL, Tli
from tli_cli import api, catalogue

TARGET = "resnet18"


def candidates(text: str) -> list[dict[str, object]]:
    value = json.loads(text)
    assert value["version"] == 1
    return value["candidates"]


def test_the_best_score_comes_first_and_is_that_of_the_pair(tli: Tli):
    found = candidates(tli("rank", TARGET, *SMALL, "resnet34", "timm:resnet18d", "--json")[0])
    scores = [candidate["score"] for candidate in found]
    assert len(found) == 6 and scores == sorted(scores, reverse=True)
    assert [c["source"] for c in found[:3]] == ["timm:resnet18d", "timm:resnet10t", "resnet34"]  # grown before cut
    for candidate in found:
        pair = api.score(str(candidate["source"]), TARGET)
        assert candidate["score"] == pair.forward and candidate["coverage"] == pair.coverage_forward
        assert candidate["parameters"] == catalogue.load(str(candidate["source"])).parameters


def test_equal_scores_go_to_the_smaller_source(tli: Tli):
    found = candidates(tli("rank", TARGET, "resnet152", "timm:resnet200", "resnet101", "--json")[0])
    keys = [(-c["score"], -c["coverage"], c["parameters"]) for c in found]  # type: ignore[operator]
    assert keys == sorted(keys)


def test_directories_are_searched_and_what_cannot_be_read_is_passed_over(tli: Tli, zoo, tmp_path):
    folder = shutil.copytree(zoo, tmp_path / "zoo")
    (folder / "broken.pt").write_bytes(b"no checkpoint")
    (folder / "notes.txt").write_text("not a checkpoint by its name")
    (folder / ".hidden.safetensors").write_bytes(b"")
    torch.save({"weight": torch.zeros(3, 3)}, folder / "below" / "tiny.pt")
    out, err = tli("rank", "timm:resnet26", folder, "timm:resnet1*t", "--json")
    names = [str(candidate["source"]).removeprefix(f"{folder}/") for candidate in candidates(out)]
    assert names[0] == "below/b.safetensors"
    assert set(names) == {
        "a.safetensors", "below/b.safetensors", "c.safetensors", "below/tiny.pt", "timm:resnet10t", "timm:resnet14t",
    }  # fmt: skip
    assert err.count("passed over") == 1 and "broken.pt" in err
    assert json.loads(out)["skipped"][0].startswith(str(folder / "broken.pt"))


def test_an_index_hides_no_other_checkpoint_and_its_shards_are_none(tli: Tli, zoo, tmp_path):
    shutil.copy(zoo / "a.safetensors", tmp_path / "best-of-3.safetensors")
    parts = {f"{letter}-0000{i}-of-00002.safetensors": letter for letter in "wm" for i in (1, 2)}
    for letter, name in (("w", "w.safetensors"), ("m", "m.safetensors")):
        tensors = {f"{letter}.{i}.weight": torch.zeros(3, 3) for i in (1, 2)}
        files = [file for file, of in parts.items() if of == letter]
        for (tensor, value), file in zip(tensors.items(), files, strict=True):
            save_file({tensor: value}, tmp_path / file)
        index = {"metadata": {}, "weight_map": dict(zip(tensors, files, strict=True))}
        (tmp_path / f"{name}.index.json").write_text(json.dumps(index))
        names = {Path(str(c["source"])).name for c in candidates(tli("rank", TARGET, tmp_path, "--json")[0])}
        assert names == {
            "best-of-3.safetensors",
            *(f"{of}.safetensors.index.json" for of in "wm"[: "wm".index(letter) + 1]),
        }
    shutil.copy(zoo / "a.safetensors", tmp_path / "model.safetensors")
    found = candidates(tli("rank", TARGET, tmp_path, "--json")[0])
    assert {Path(str(c["source"])).name for c in found} == {tmp_path.name, *names}


def test_a_list_says_where_a_name_stands(tli: Tli, tmp_path):
    (tmp_path / "names.txt").write_text("resnet10t\nresnet19\n")
    assert "names.txt, line 2: unknown" in tli("rank", TARGET, "--from-file", tmp_path / "names.txt", code=1)[1]


def test_what_is_named_must_be_readable(tli: Tli, zoo, tmp_path):
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no checkpoint")
    assert "broken.pt" in tli("rank", TARGET, zoo, broken, code=1)[1]
    (tmp_path / "empty").mkdir()
    assert "found none" in tli("rank", TARGET, tmp_path / "empty", code=1)[1]
    assert "resnet19" in tli("rank", TARGET, "resnet19", code=1)[1]
    assert "resnet19" in tli("rank", "resnet19", TARGET, code=1)[1]


def test_top_cuts_the_list_but_not_the_count(tli: Tli):
    out, _ = tli("rank", TARGET, *SMALL, "--top", "2", "--json")
    assert len(candidates(out)) == 2 and json.loads(out)["sources"] == 4
    assert len(tli("rank", TARGET, *SMALL, "--top", "2")[0].splitlines()) == 2


def test_lines_and_csv_say_why(tli: Tli):
    line = tli("rank", TARGET, "timm:resnet18d")[0].rstrip("\n").split("\t")
    assert line[0] == "timm:resnet18d" and "layers the same" in line[4] and "lowest conv1" in line[4]
    head, row = csv.reader(io.StringIO(tli("rank", TARGET, "timm:resnet18", "--csv")[0]))
    assert head == ["source", "score", "coverage", "parameters", "why"]
    assert row[1:] == ["1.0", "1.0", "11689512", "every layer the same, in its place"]


@pytest.mark.parametrize("given", ["folder", "files"])
def test_inject_best_takes_the_winner_and_says_which(given, tli: Tli, zoo, tmp_path):
    sources = [zoo] if given == "folder" else [zoo / "c.safetensors", zoo / "below" / "b.safetensors"]
    out = tmp_path / "out.safetensors"
    how = ("--target", "timm:resnet26t", "--best", "--method", "maps", "-o", out, "--json")
    printed, err = tli("inject", *sources, *how)
    best = candidates(tli("rank", "timm:resnet26t", *sources, "--json")[0])[0]
    count, winner = ("3 sources", zoo / "below") if given == "folder" else ("2 sources", sources[1])
    assert best["source"] == str(winner)
    assert f"best of {count}: {winner}, score 0.9" in err
    assert json.loads(printed)["score"] == pytest.approx(best["score"], abs=1e-6) and out.exists()


def test_what_is_started_and_what_is_written_are_no_sources_unless_named(tli: Tli, zoo, tmp_path):
    folder = shutil.copytree(zoo, tmp_path / "zoo")
    target, out = folder / "a.safetensors", folder / "start.safetensors"
    how = ("--target", target, "--best", "--method", "maps", "--json", "--force", "-o", out)
    first = tli("inject", folder, *how)
    assert f"passed over: {target}: it is the target" in first[1]
    again = tli("inject", folder, *how)
    assert f"passed over: {out}: it is what is written" in again[1] and again[0] == first[0]
    assert candidates(tli("rank", target, folder, target, "--json")[0])[0]["source"] == str(target)


@pytest.mark.parametrize("name", ["start.safetensors", "start.pt", "start"])
def test_what_was_written_for_the_target_is_no_source_of_it_unless_named(name, tli: Tli, zoo, tmp_path):
    folder = shutil.copytree(zoo, tmp_path / "zoo")
    tli("inject", folder / "a.safetensors", "--target", "timm:resnet26t", "--method", "maps", "-o", folder / name)
    out, err = tli("rank", "timm:resnet26t", folder, "--json")
    assert f"passed over: {folder / name}: tli wrote it for this target" in err
    assert str(folder / name) not in {one["source"] for one in candidates(out)}
    assert candidates(tli("rank", "timm:resnet26t", folder / name, "--json")[0])[0]["score"] == 1
    assert "tli wrote" not in tli("rank", TARGET, folder)[1]


def test_best_wants_values(tli: Tli, tmp_path):
    out = tmp_path / "out.safetensors"
    _, err = tli("inject", "resnet34", "--target", TARGET, "--best", "-o", out, code=1)
    assert "resnet34" in err and "no values" in err and not out.exists()
