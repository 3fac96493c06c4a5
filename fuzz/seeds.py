"""What fuzzing starts from: a few sound inputs for each target."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from tli_cli.plan import AxisMap, Layout, Piece, Plan, Side, Step

STATE: dict[str, Any] = {
    "module.a.weight": torch.ones(2, 3),
    "module.a.bias": torch.zeros(2, dtype=torch.bfloat16),
    "module.n": torch.tensor(3),
}


def _saved(value: Any, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _pickle_of(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))


@cache
def _distributed() -> tuple[bytes, bytes]:
    import torch.distributed.checkpoint as dcp

    with tempfile.TemporaryDirectory() as home, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save({"model": {"a": torch.ones(2, 3), "b": torch.zeros(4)}, "epoch": 3}, checkpoint_id=home)
        return (Path(home) / ".metadata").read_bytes(), next(Path(home).glob("*.distcp")).read_bytes()


def distributed_file() -> bytes:
    """Return the data file that the seed of `distributed` names."""
    return _distributed()[1]


def _plan() -> Plan:
    piece = Piece("a", axes=(0, ("+", 0, 1)), layout=Layout((2, 3), (1, 0), (3, 2)), target_range=(0, 0, 2))
    steps = (
        Step("x", (4, 3), "transfer", pieces=(piece,), resizer="maps", similarity=0.5),
        Step("y", (4,), "keep", reason="no partner"),
    )
    maps = (AxisMap("repeat", 4, 2, members=((0, "a", 0, 0, 1),)), AxisMap("same", 3, 3, index=(0, 1, 2)))
    return Plan((Side("s", "f"),), Side("t", "g"), steps, maps)


def seeds(target: str) -> list[bytes]:
    """Return sound inputs for `target`."""
    nested = {"model": STATE, "model_ema": STATE, "optimizer": {"state": {0: {"x": torch.ones(2)}}}, "epoch": 3}
    flat = save(STATE)
    length = int.from_bytes(flat[:8], "little")
    view = {"a": torch.ones(2, 3).t(), "p": torch.nn.Parameter(torch.ones(1)), "h": torch.ones(4).half()}
    known: dict[str, list[bytes]] = {
        "safetensors": [flat, flat[8 : 8 + length] + b"\n" + flat[8 + length :]],
        "archive": [_saved(STATE), _saved(nested), _saved(STATE, zipped=False)],
        "pickled": [_pickle_of(_saved(value)) for value in (STATE, nested, view)],
        "index": [
            json.dumps({"metadata": {"x": "y"}, "weight_map": {"a": "s.safetensors", "b": "s.safetensors"}}).encode()
        ],
        "distributed": [_distributed()[0]],
        "plan": [_plan().to_json().encode()],
    }
    return known[target]
