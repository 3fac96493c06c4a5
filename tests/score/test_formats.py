"""How scores, matrices and rankings are shown, and that docs/json.md names every field."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from tests.score.conftest import Tli
from tli_cli.cli.render_matrix import MOST_COLUMNS, matrix_parts
from tli_cli.cli.render_rank import NARROW, ranking_parts, why
from tli_cli.cli.render_score import score_parts
from tli_cli.matrices.matrix import Matrix
from tli_cli.ranking import Candidate, Ranking
from tli_cli.scoring.outlook import outlook
from tli_cli.scoring.score import Score

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")


def documented(command: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", PAGE.split(f"## `tli {command} --json`", 1)[1].split("\n## ", 1)[0]))


def fields(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for item in value.values() for name in fields(item)}
    return {name for item in value for name in fields(item)} if isinstance(value, list) else set()


def text_of(parts: object, width: int = 100) -> str:
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None)
    for part in parts:  # type: ignore[attr-defined]
        console.print(part)
    return out.getvalue()


PAIR = ("resnet18", "resnet34")


@pytest.mark.parametrize("command", [("score", *PAIR), ("score", *PAIR, "timm:resnet10t"), ("rank", *PAIR)])
def test_every_field_of_the_json_is_documented(command, tli: Tli):
    out, _ = tli(*command, "--json")
    found = fields(json.loads(out))
    own = documented(command[0]) | (documented("score") if command[0] == "rank" else set())
    assert {"version"} < found <= own
    assert out.startswith('{\n "version": 1,')


def test_the_worst_blocks_are_shown_with_a_pair():
    score = Score("a", "b", 0.61, 0.04, 0.9, 0.1, (("layer4.2", 0.259), ("layer3.5", 0.5)))
    text = text_of(score_parts(score))
    assert "what holds it down\n  0.25  layer4.2\n  0.50  layer3.5\n" in text
    assert re.search(r"a +b +0\.6100 +90\.0 % +helps", text) and re.search(r"b +a +0\.0400 +10\.0 % +may hurt", text)


@pytest.mark.parametrize("width", [60, NARROW])
def test_a_ranking_is_shown_whole_in_a_narrow_terminal(width):
    held = (("layer4.0", 0.57), ("layer3.0", 0.57))
    source = Candidate("resnet18", 0.6102, 0.888, 11_689_512, 107, 87, 26, held)
    text = text_of(ranking_parts(Ranking("resnet50", (source,)), [source], parameters=width >= NARROW), width)
    assert set(why(source).split()) <= set(text.split()) and all(len(line) <= width for line in text.splitlines())
    assert ("11,689,512" in text) == (width >= NARROW)


def test_bands_meet_without_a_gap():
    assert [outlook(score) for score in (0.0, 0.0999, 0.1, 0.4999, 0.5, 1.0)] == [
        "may hurt", "may hurt", "may help", "may help", "helps", "helps",
    ]  # fmt: skip


def test_a_small_matrix_is_shown_whole_and_numbers_its_columns():
    names = ("one", "a_name_that_is_much_longer_than_the_column_that_is_there_for_it_in_a_terminal", "three")
    text = text_of(matrix_parts(Matrix(names, ((1.0, 0.994, 0.2), (0.5, 1.0, 0.3), (0.0, 0.1, 1.0)))), 60)
    assert "1.00 0.99 0.20" in text.replace("  ", " ") and "row: source, column: target" in text
    assert all(len(line) <= 60 for line in text.splitlines())


def test_a_large_matrix_lists_the_best_sources_of_each_target():
    count = MOST_COLUMNS + 1
    values = tuple(tuple(1.0 if i == j else (i + 1) / 100 for j in range(count)) for i in range(count))
    text = text_of(matrix_parts(Matrix(tuple(f"net{i}" for i in range(count)), values)))
    rows = [line.split() for line in text.splitlines()]
    assert ["net0", "0.15", f"net{count - 1}"] in rows
    at = rows.index(["net0", "0.15", f"net{count - 1}"])
    assert rows[at + 1 : at + 3] == [["0.14", f"net{count - 2}"], ["0.13", f"net{count - 3}"]]
    assert f"{count * count} scores; --csv or --json" in text
