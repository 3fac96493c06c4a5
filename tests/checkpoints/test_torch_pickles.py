"""What training scripts save beside weights, and every way in which torch pickles a tensor."""

from __future__ import annotations

import argparse
import datetime
import functools
import pathlib
import pickle
import sys
import types
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._weights_only_unpickler import _get_allowed_globals

from tests.stored import stored_bytes
from tli_cli.checkpoints import open_checkpoint
from tli_cli.checkpoints.torch_files.torch_pickles import allowed
from tli_cli.errors import CheckpointError

KINDS: dict[str, Callable[[], torch.Tensor]] = {
    "parameter": lambda: torch.nn.Parameter(torch.randn(2, 3)),
    "buffer": lambda: torch.nn.Buffer(torch.randn(2, 3)),
    "turned": lambda: torch.randn(3, 2).t(),
    "part": lambda: torch.randn(5, 3)[1:3],
    "every second": lambda: torch.randn(4, 3)[::2],
    "conjugate": lambda: torch.randn(2, 3, dtype=torch.complex64).conj(),
    "negative": lambda: torch.randn(2, 3, dtype=torch.complex64).conj().imag,
    "scalar": lambda: torch.tensor(2.5),
    "empty": lambda: torch.empty(0, 3),
    **{
        name: lambda dtype=dtype: (torch.rand(2, 3) * 5).to(dtype)
        for name in ("float64", "float16", "bfloat16", "int8", "int64", "bool", "complex128", "uint16", "float8_e5m2")
        if (dtype := getattr(torch, name, None)) is not None
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tensor_is_read_as_torch_reads_it(tmp_path: Path, kind: str, zipped: bool) -> None:
    tensor = KINDS[kind]()
    if not zipped and kind in ("uint16", "float8_e5m2"):
        pytest.skip("torch does not read its own")
    if kind == "parameter":
        tensor.extra = 1  # type: ignore[attr-defined]
    torch.save({"a": tensor, "b": torch.ones(1)}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    read, (spec, _) = checkpoint.read("a"), checkpoint.tensors
    assert torch.equal(read, torch.load(tmp_path / "a.pt", weights_only=True)["a"].data)
    assert (read.dtype, spec.shape, f"torch.{spec.dtype}") == (tensor.dtype, tuple(tensor.shape), str(tensor.dtype))
    plain = tensor.is_contiguous() and not tensor.is_conj() and not tensor.is_neg()
    assert (checkpoint.file_range("a") is not None) == plain


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="this torch has no such type")
def test_two_values_in_a_byte_are_copied(tmp_path: Path) -> None:
    codes = torch.arange(12, dtype=torch.uint8).reshape(3, 4)
    torch.save({"a": codes.view(torch.float4_e2m1fn_x2)}, tmp_path / "a.pt")
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert checkpoint.tensors[0].shape == (3, 8)
    assert list(stored_bytes(checkpoint, "a")) == list(range(12))
    with pytest.raises(CheckpointError, match="only be copied"):
        checkpoint.read("a")


def test_what_torch_lets_pass_is_known() -> None:
    old = {name for name in _get_allowed_globals() if name.endswith("Tensor") and "sparse" in name}
    assert set(_get_allowed_globals()) - old <= set(allowed())


class Config(dict[str, Any]):
    """Stands in for the settings of a library that is not installed here."""


def config(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> Any:
    """Return an object of class `module.name`, which can be pickled and is not there when it is read."""
    kind = type(name, (Config,), {"__module__": module})
    holder = types.ModuleType(module)
    setattr(holder, name, kind)
    for end in range(len(module.split("."))):
        monkeypatch.setitem(sys.modules, ".".join(module.split(".")[: end + 1]), holder)
    made = kind(width=3)
    made.depth = 4
    return made


def history(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return values as mmengine logs them: in an object that also keeps methods of its class."""
    made = config(monkeypatch, "mmengine.logging.history_buffer", "HistoryBuffer")

    def mean(self: Any) -> None: ...

    mean.__module__, mean.__qualname__ = type(made).__module__, "HistoryBuffer.mean"
    type(made).mean = mean
    made.values, made.methods = np.ones(3), {"mean": mean}
    return {"log_scalars": OrderedDict(loss=made)}


BESIDE: dict[str, Callable[[pytest.MonkeyPatch], Any]] = {
    "numpy": lambda _: {"best": np.float64(0.5), "state": np.random.default_rng(0).random(4), "kind": np.dtype("f4")},
    "paths": lambda _: argparse.Namespace(output=pathlib.PurePosixPath("/tmp"), heads=4),
    "times": lambda _: [datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(1)],
    "counts": lambda _: [defaultdict(list, a=[1]), Counter("abc"), {1, 2}, 3j, bytearray(b"x"), b"\xff"],
    "torch": lambda _: [torch.Size([1, 2]), torch.device("cpu"), torch.float16, torch.Generator().get_state()],
    "recipes": lambda _: [int, str, range, functools.partial(torch.optim.AdamW, lr=0.1), torch.optim.SGD],
    "lightning": lambda patch: config(patch, "pytorch_lightning.utilities.parsing", "AttributeDict"),
    "yacs": lambda patch: config(patch, "yacs.config", "CfgNode"),
    "fastai": lambda patch: config(patch, "fastcore.foundation", "L"),
    "mmengine": history,
}


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("kind", BESIDE)
def test_data_beside_the_weights_is_no_reason_to_refuse_them(
    tmp_path: Path, kind: str, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"model": {"a": torch.ones(2)}, "args": BESIDE[kind](monkeypatch), "epoch": 3}
    torch.save(state, tmp_path / "a.pt", pickle_protocol=protocol)
    monkeypatch.undo()
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert checkpoint.read("a").tolist() == [1, 1] and len(checkpoint.ignored) == 2
    if kind == "paths":
        assert checkpoint.config["args"] == {"heads": 4}
    if kind == "yacs":
        assert checkpoint.config["args"] == {"width": 3, "depth": 4}
        assert any("CfgNode" in line for line in checkpoint.ignored)


class Changes:
    """Pickles as a state that is given to something that all pickles share."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __reduce__(self) -> tuple[Any, ...]:
        return _first, (self.function,), (None, {"__defaults__": (1,), "__name__": "b", "take": 1})


def _first(value: Any) -> Any:
    return value


@pytest.mark.parametrize("name", ["torch._utils._rebuild_tensor_v2", "collections.OrderedDict", "argparse.Namespace"])
def test_a_pickle_changes_nothing_that_others_use(tmp_path: Path, name: str) -> None:
    import torch._utils

    shared = {"collections.OrderedDict": OrderedDict, "argparse.Namespace": argparse.Namespace}
    function = shared.get(name, torch._utils._rebuild_tensor_v2)
    before = dict(vars(allowed()[name]))
    data = pickle.dumps({"a": Changes(function)}, protocol=2)
    module, _, called = f"{__name__}._first".rpartition(".")
    data = data.replace(f"c{module}\n{called}\n".encode(), b"ctorch._utils\n_rebuild_parameter\n")
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    path = tmp_path / "b.pt"
    path.write_bytes(_swapped((tmp_path / "a.pt").read_bytes(), data))
    with pytest.raises(CheckpointError):
        open_checkpoint(path)
    assert dict(vars(allowed()[name])) == before


def _swapped(whole: bytes, data: bytes) -> bytes:
    """Return an old file of torch.save whose fourth pickle, what was saved, is `data`."""
    import io
    import pickletools

    file = io.BytesIO(whole)
    ends = []
    for _ in range(4):
        for _ in pickletools.genops(file):
            pass
        ends.append(file.tell())
    return whole[: ends[2]] + data + whole[ends[3] :]
