"""The data files: what is damaged or missing is named, and nothing half-written is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue_builder import storing
from tli_cli.catalogue import load, store
from tli_cli.catalogue.decode import names_of
from tli_cli.checkpoints.names import clean_names
from tli_cli.errors import TliError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "data"
    shutil.copytree(store.DATA, folder)
    monkeypatch.setattr(store, "DATA", folder)
    for cached in (store.index, store._block):
        cached.cache_clear()
    yield folder
    for cached in (store.index, store._block):
        cached.cache_clear()


def test_every_model_is_held_with_its_graph() -> None:
    report = store.read_table("report")
    assert (report["failed"], report["untraced"]) == ({}, [])


def test_no_name_in_a_model_is_taken_for_a_wrapper() -> None:
    for structure in {row[0] for rows in store.index()["models"].values() for row in rows.values()}:
        names = names_of(store.read_row(structure))
        assert list(clean_names(names)) == list(names)


@pytest.mark.parametrize("file", ["architectures.bin", "index.bin"])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_damaged_catalogue_is_named(file: str, damage: str, data: Path) -> None:
    path = data / file
    held = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(held[:1000] if damage == "cut" else bytes(byte ^ 0x5A for byte in held))
    with pytest.raises(TliError, match=f"{file} is (missing|damaged).*make catalogue"):
        load("timm:resnet18")


def test_a_failed_write_leaves_the_old_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (data / "report.bin").read_bytes()
    monkeypatch.setattr(storing.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        storing.write_table("report", {"failed": {}}, data)
    assert (data / "report.bin").read_bytes() == before
