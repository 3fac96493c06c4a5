"""Arrays of NumPy as weights: in files of torch.save, and in plain pickles as detectron2 and Caffe2 write them."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError

ARRAYS: dict[str, Any] = {
    "plain": np.arange(6, dtype="f4").reshape(2, 3),
    "turned": np.asfortranarray(np.random.default_rng(0).standard_normal((3, 4))),
    "count": np.array(7),
    "empty": np.zeros((0, 3), "f2"),
    "truth": np.array([True, False]),
    "bytes": np.array([200, 3], "u1"),
    "complex": np.array([1 + 2j]),
}


def write(path: Path, held: Any, protocol: int, how: str) -> None:
    if how == "pickle":
        path.write_bytes(pickle.dumps(held, protocol=protocol))
    else:
        torch.save(held, path, pickle_protocol=protocol, _use_new_zipfile_serialization=how == "zip")


@pytest.mark.parametrize("how", ["pickle", "zip", "legacy"])
@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_are_weights_where_there_are_no_tensors(tmp_path: Path, protocol: int, how: str) -> None:
    write(tmp_path / "a.pkl", {"model": ARRAYS, "__author__": "x"}, protocol, how)
    checkpoint = open_checkpoint(tmp_path / "a.pkl")
    assert [spec.name for spec in checkpoint.tensors] == list(ARRAYS)
    for name, array in ARRAYS.items():
        read = checkpoint.read(name)
        assert read.numpy().dtype == array.dtype and np.array_equal(read.numpy(), array)
    assert checkpoint.ignored == ("__author__: str",)


def test_arrays_beside_tensors_are_training_state(tmp_path: Path) -> None:
    torch.save({"mean": np.ones(3), "weights_of_it": {"a": torch.ones(2)}}, tmp_path / "a.pt")
    assert [spec.name for spec in open_checkpoint(tmp_path / "a.pt").tensors] == ["a"]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array(["x"]), "expected little-endian numbers"),
        (np.array([None]), "expected little-endian numbers"),
        (np.arange(3, dtype=">i4"), "expected little-endian numbers"),
        (np.zeros(2, dtype=[("a", "f4")]), "expected little-endian numbers"),
    ],
)
def test_what_are_no_numbers_is_refused_by_name(tmp_path: Path, array: Any, said: str) -> None:
    write(tmp_path / "a.pkl", {"fc.weight": array}, 4, "pickle")
    with pytest.raises(CheckpointError, match=f"fc.weight: {said}"):
        open_checkpoint(tmp_path / "a.pkl")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_shape_that_claims_more_than_stands_there_is_refused(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps({"a": np.zeros((2, 3), "f4")}, protocol=protocol)
    (tmp_path / "a.pkl").write_bytes(data.replace(b"K\x02K\x03\x86", b"K\x02K\xff\x86"))
    with pytest.raises(CheckpointError, match="claims 510 numbers"):
        open_checkpoint(tmp_path / "a.pkl")


@pytest.mark.parametrize("more", [os.getcwd, eval, print, json.loads])
def test_a_pickle_that_asks_for_more_is_refused(more: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.pkl", {"a": np.ones(2), "b": more}, 4, "pickle")
    with pytest.raises(CheckpointError, match="asks to run or build"):
        open_checkpoint(tmp_path / "a.pkl")
