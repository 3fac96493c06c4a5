"""The heat map, and the order of its rows."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from tests.score.conftest import Tli
from tli_cli.matrices.matrix import Matrix
from tli_cli.matrices.plotting import clustered_order, drawing

BEGINS = {".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".html": b"<!doctype html>"}
NETS = ("resnet18", "timm:mobilenetv3_small_050", "timm:resnet10t")


def matrix(count: int, seed: int = 0) -> Matrix:
    values = np.random.default_rng(seed).random((count, count))
    np.fill_diagonal(values, 1)
    return Matrix(tuple(f"net<{i}>" for i in range(count)), tuple(map(tuple, values.tolist())))


@pytest.mark.parametrize("suffix", BEGINS)
def test_every_format_is_what_its_name_says_and_always_the_same(suffix):
    first, second = (drawing(matrix(4), suffix) for _ in range(2))
    assert first == second and first.startswith(BEGINS[suffix])
    assert drawing(matrix(4, 1), suffix) != first


def test_a_page_holds_every_score_and_every_name():
    found = matrix(7)
    page = drawing(found, ".html").decode()
    names = json.loads(re.search(r"names = (\[.*?\]),", page)[1])  # type: ignore[index]
    cells = base64.b64decode(re.search(r'atob\("(.*?)"\)', page)[1])  # type: ignore[index]
    assert sorted(names) == sorted(found.names) and "http" not in page
    assert re.findall(r"<(title|h1)>(.*)</", page) == [(tag, "TLI score, dp: 7 models") for tag in ("title", "h1")]
    shown = np.frombuffer(cells, np.uint8).reshape(7, 7)
    place = [found.names.index(name) for name in names]
    assert (shown == (np.array(found.values)[np.ix_(place, place)] * 100).astype(np.uint8)).all()


@pytest.mark.parametrize("count", [1, 2, 3, 20, 60])
def test_the_order_holds_every_model_once(count):
    assert sorted(clustered_order(matrix(count).values)) == list(range(count))


def test_alike_models_stand_side_by_side():
    group = np.random.default_rng(0).permutation([0] * 5 + [1] * 7 + [2] * 4)
    values = np.where(group[:, None] == group[None, :], 0.9, 0.1)
    found = group[clustered_order(values.tolist())]
    assert np.count_nonzero(np.diff(found)) == 2


def test_the_command_draws_beside_what_it_prints(tli: Tli, tmp_path):
    picture = tmp_path / "m.html"
    out, err = tli("score", *NETS, "--plot", picture)
    assert len(out.splitlines()) == 3 and err == f"drawn: {picture}\n"
    assert picture.read_bytes().startswith(BEGINS[".html"])
    before = picture.read_bytes()
    assert "--force" in tli("score", *NETS[:2], "--plot", picture, code=1)[1] and picture.read_bytes() == before
    tli("score", *NETS[:2], "--plot", picture, "--force")
    assert picture.read_bytes() != before
    assert ".png, .svg, .html" in tli("score", *NETS, "--plot", tmp_path / "m.pdf", code=1)[1]


@pytest.mark.parametrize("place", ["no/such/m.png", "there.png"])
def test_where_nothing_can_be_drawn_is_said_before_the_work(place, tli: Tli, tmp_path, monkeypatch):
    (tmp_path / "there.png").mkdir()
    monkeypatch.setattr("tli_cli.matrices.matrix.score_all", lambda *_, **__: pytest.fail("it was scored all the same"))
    assert "expected a file in a directory" in tli("score", *NETS, "--plot", tmp_path / place, code=1)[1]
