from __future__ import annotations

import pytest
import typer

from tli_cli.cli.parsers import a_share, complete_reference, parse_head, parse_shape, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("5GB", 5 * 10**9), ("500 MiB", 500 * 2**20), ("1.5kb", 1500), ("2T", 2 * 10**12)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "5XB", "GB", "1e3", "nan", f"{'9' * 400}GB"])
def test_what_is_not_a_size(text):
    with pytest.raises(typer.BadParameter, match="expected a size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "shape"), [("3,16,16", (3, 16, 16)), ("3x224x224", (3, 224, 224)), ("(8,)", None)])
def test_shapes(text, shape):
    if shape is None:
        with pytest.raises(typer.BadParameter, match="expected positive numbers"):
            parse_shape(text)
    else:
        assert parse_shape(text) == shape


def test_shares():
    assert [a_share(value) for value in (None, 0.0, 0.99, 1.0)] == [None, 0, 0.99, 1]
    for value, said in ((99, "found 99; 99 % is 0.99"), (-1, "found -1$"), (float("nan"), "found nan$")):
        with pytest.raises(typer.BadParameter, match=f"from 0 to 1, {said}"):
            a_share(value)


def test_heads():
    assert [parse_head(text) for text in ("auto", "fresh", "keep", "map:rows.txt")] == [
        "auto",
        "fresh",
        "keep",
        "map:rows.txt",
    ]
    with pytest.raises(typer.BadParameter, match="map:FILE"):
        parse_head("old")


def test_names_are_completed_with_their_library_and_without(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet18.pt").touch()
    assert set(complete_reference("resnet18")) == {"resnet18.pt", "resnet18", "resnet18d"}
    assert set(complete_reference("torchvision:resnet18")) == {"torchvision:resnet18"}
