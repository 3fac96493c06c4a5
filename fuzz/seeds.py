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

from tli_cli.api import match
from tli_cli.options import Options

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


@cache
def plan_models() -> tuple[str, str]:
    """Return a source and a target between which the plans of `plan` are carried out."""
    home = Path(tempfile.mkdtemp(prefix="tli-fuzz-plan-"))
    for name, width in (("source", 2), ("target", 3)):
        layers = {"fc1": (width, 4), "fc2": (2 * width, width), "head": (2, 2 * width)}
        state = {f"{layer}.weight": torch.ones(shape) for layer, shape in layers.items()}
        state |= {f"{layer}.bias": torch.zeros(shape[0]) for layer, shape in layers.items()}
        (home / f"{name}.safetensors").write_bytes(save(state))
    return str(home / "source.safetensors"), str(home / "target.safetensors")


def _plans() -> list[bytes]:
    plans = [match(*plan_models(), options=Options(method=method)) for method in ("auto", "crop")]
    return [json.dumps(json.loads(plan.to_json())).encode() for plan in plans]


def _vocabularies() -> list[bytes]:
    tokens = {"<unk>": 0, "\u2581the": 1, "ing": 2, "<0x0A>": 3}
    added = [{"id": 4, "content": "<pad>", "special": True, "normalized": False}]
    sequence = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}
    models = [
        {"type": "BPE", "vocab": tokens, "merges": [], "unk_token": "<unk>", "end_of_word_suffix": "</w>"},
        {"type": "Unigram", "unk_id": 0, "vocab": [[token, -1.0] for token in tokens]},
        {"type": "WordPiece", "vocab": tokens, "continuing_subword_prefix": "##"},
    ]
    stages = {"normalizer": sequence, "pre_tokenizer": {"type": "Metaspace"}, "decoder": {"type": "ByteLevel"}}
    written = [json.dumps({"added_tokens": added, "model": model, **stages}).encode() for model in models]
    pieces = b"".join(bytes([10, len(t) + 2, 10, len(t)]) + t for t in (b"a", b"\xe2\x96\x81the", b"<s>"))
    return [*written, pieces + b"\x12\x03\xc0\x02\x00", b"YQ== 0\nYg== 1\n"]


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
        "plan": _plans(),
        "vocabulary": _vocabularies(),
    }
    return known[target]
