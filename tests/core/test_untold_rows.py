"""Rows of blocks in bare files of which nothing tells whether they belong together, or from which end they count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.core.support import doubted
from tli_cli import match

State = dict[str, torch.Tensor]


def conv(name: str, out: int = 8, inner: int = 8, kernel: int = 3) -> State:
    return {f"{name}.weight": torch.randn(out, inner, kernel, kernel), f"{name}.bias": torch.randn(out)}


def rows(*names: str) -> State:
    """A stem, a row of blocks of two convolutions for each name, and a last layer."""
    held = [conv(f"{name}.{i}.conv{n}") for name in names for i in range(3) for n in (1, 2)]
    return {key: value for layer in (conv("stem", 8, 3), *held, conv("final", 2)) for key, value in layer.items()}


def pyramid(lateral: str, merged: str) -> State:
    """Three stages, a layer that brings each to one width, and two layers for each behind that."""
    state = conv("stem", 8, 3) | conv("head", 5)
    for i, (inner, width) in enumerate(((8, 8), (8, 16), (16, 32))):
        state |= conv(f"body.{i}", width, inner) | conv(f"{lateral}.{i}", 8, width, 1)
        state |= conv(f"{merged}.{i}.conv1") | conv(f"{merged}.{i}.conv2")
    return state


def levels(inside: bool) -> State:
    """Two layers for each of three levels, each level inside the one before it or behind that."""
    paths = [f"net.{'inner.' * i}" if inside else f"net.levels.{i}." for i in range(3)]
    return {key: value for path in paths for name in ("down", "up") for key, value in conv(f"{path}{name}").items()}


@pytest.mark.parametrize(
    ("source", "target", "doubtful", "reason"),
    [
        (rows("encoder", "middle"), rows("encoder", "decoder"), "decoder.", "belongs elsewhere"),
        (rows("encoder", "decoder"), rows("encoder", "ups"), "ups.", "from which end"),
        (pyramid("lateral", "output"), pyramid("reduce", "smooth"), "smooth.", "from which end"),
        (levels(inside=True), levels(inside=False), "levels.1.", "within each other"),
    ],
)
def test_rows_that_names_do_not_tell_are_not_exact(
    source: State, target: State, doubtful: str, reason: str, tmp_path: Path
) -> None:
    for name, state in (("source", source), ("target", target)):
        save_file(state, tmp_path / f"{name}.safetensors")
    found = doubted(match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors")))
    named = {key.removeprefix("net.") for key in target if key.removeprefix("net.").startswith(doubtful)}
    assert named <= found.keys() and all(reason in found[name] for name in named)
    assert not any(name.startswith(("encoder.", "body.", "stem.")) for name in found)


@pytest.mark.parametrize("names", [("alpha", "gamma"), ("gamma", "beta"), ("beta", "alpha")])
def test_rows_of_one_name_are_believed(names: tuple[str, str], tmp_path: Path) -> None:
    save_file(rows("alpha", "beta"), tmp_path / "source.safetensors")
    save_file(rows(*names), tmp_path / "target.safetensors")
    found = doubted(match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors")))
    assert all("nothing tells its block" in why and name.startswith("gamma.") for name, why in found.items())
    assert bool(found) == ("gamma" in names)
