"""Starts: what a target's values are before its first step, by the name of the method."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from benchmarks.convergence import iatransfer_package, sources
from benchmarks.convergence.data import CLASSES
from benchmarks.convergence.networks import Net, head_of
from benchmarks.convergence.pairs import Pair
from benchmarks.convergence.plain import PLAIN

LIMIT = "limit"
REFERENCES = (*PLAIN, LIMIT)
"""Starts that depend on the target alone (and, for the limit, on the source's data)."""
COPIES = ("names", "iatransfer")
"""Starts that copy values without `tli`."""
OTHERS = (*COPIES, "untrained", "shuffled")
TLI = ("auto", "combo", "crop", "resize", "select", "net2net", "fna", "tile", "magnitude", "dpiat")


@dataclass(frozen=True)
class Start:
    """A target ready to train, and how long its start took to make, in seconds."""

    model: nn.Module
    seconds: float


def make(method: str, pair: Pair, seed: int) -> Start:
    """Return the target of `pair` started by `method`; its head is always fresh: what `tli` starts a fresh head with
    where it starts the target, else the constructor's own, of this seed."""
    classes = CLASSES[pair.target_data]
    model = pair.target.build(classes, seed)
    begun = time.perf_counter()
    if method in PLAIN:
        with torch.no_grad():
            PLAIN[method](model, torch.Generator().manual_seed(seed))
        return Start(model, 0.0)
    with torch.no_grad():
        _fill(method, model, pair, seed)
        if method in (LIMIT, *COPIES):
            _fresh_head(model, pair.target.build(classes, seed))
    return Start(model, time.perf_counter() - begun)


def _fill(method: str, model: nn.Module, pair: Pair, seed: int) -> None:
    if method == LIMIT:
        _load_equal(model, sources.read(sources.trained(pair.target, pair.source_data)))
    elif method == "names":
        _load_equal(model, sources.read(sources.trained(pair.source, pair.source_data)))
    elif method == "iatransfer":
        iatransfer_package.transfer(_live(pair.source, pair.source_data), model)
    elif method == "untrained":
        _inject(sources.untrained(pair.source, CLASSES[pair.source_data], seed), model, pair, "auto", seed)
    elif method == "shuffled":
        checkpoint = sources.shuffled(sources.trained(pair.source, pair.source_data), seed)
        _inject(checkpoint, model, pair, "auto", seed)
    else:
        _inject(sources.trained(pair.source, pair.source_data), model, pair, method, seed)


def _inject(checkpoint: Path, model: nn.Module, pair: Pair, method: str, seed: int) -> None:
    """Inject with the `tli` method, written `method` or `method@matcher`, and load what was written."""
    from safetensors.torch import load_file

    from tli_cli import api
    from tli_cli.options import Options

    name, _, matcher = method.partition("@")
    options = Options(
        method=name,
        matcher=matcher or Options().matcher,
        head="fresh",
        seed=seed,
        source_arch=pair.source.reference(CLASSES[pair.source_data]),
        input_shape=pair.target.input_shape,
    )
    with TemporaryDirectory() as folder:
        out = Path(folder) / "start.safetensors"
        api.inject([str(checkpoint)], pair.target.reference(CLASSES[pair.target_data]), str(out), options=options)
        model.load_state_dict(load_file(out))


def _load_equal(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    own = model.state_dict()
    model.load_state_dict(own | {name: t for name, t in state.items() if name in own and own[name].shape == t.shape})


def _live(net: Net, data_name: str) -> nn.Module:
    model = net.build(CLASSES[data_name], 0)
    model.load_state_dict(sources.read(sources.trained(net, data_name)))
    return model


def _fresh_head(model: nn.Module, fresh: nn.Module) -> None:
    head_of(model)[1].load_state_dict(head_of(fresh)[1].state_dict())
