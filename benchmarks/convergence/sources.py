"""Trained networks, each trained once for its data and kept under `.cache`."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import torch

from benchmarks.convergence.data import load
from benchmarks.convergence.networks import CACHE, Net
from benchmarks.convergence.training import Recipe, train

IMAGES = 6000
CONV = Recipe(rate=5e-3, steps=900, every=100, cosine=True)
TOKENS = Recipe(rate=2e-3, steps=1800, every=200, cosine=True, warmup=100)
SOURCE_SEED = 77


def trained(net: Net, data_name: str) -> Path:
    """Return the checkpoint of `net` trained on `data_name`, training it if that was not done before."""
    path = _path(net, data_name, "trained")
    if not path.exists():
        data = load(data_name, IMAGES)
        model = net.build(data.classes, SOURCE_SEED)
        curve = train(model, data, TOKENS if "tokens" in net.file or "vit" in net.factory else CONV, SOURCE_SEED)
        print(f"trained {net} on {data_name}: accuracy {curve[-1]:.3f}", flush=True)
        save(model.state_dict(), path)
    return path


def untrained(net: Net, classes: int, seed: int) -> Path:
    """Return a checkpoint of `net` as its constructor starts it."""
    path = _path(net, f"{classes}-{seed}", "untrained")
    if not path.exists():
        save(net.build(classes, seed).state_dict(), path)
    return path


def shuffled(checkpoint: Path, seed: int) -> Path:
    """Return a checkpoint in which the values of each tensor of another one are in random order."""
    path = checkpoint.with_name(f"{checkpoint.stem}-shuffled-{seed}.pt")
    if not path.exists():
        generator = torch.Generator().manual_seed(seed)
        save({name: _shuffle(tensor, generator) for name, tensor in read(checkpoint).items()}, path)
    return path


def read(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)


def save(state: dict[str, torch.Tensor], path: Path) -> None:
    """Write a state dict in one move, its tensors contiguous."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    torch.save({name: tensor.contiguous() for name, tensor in state.items()}, unfinished)
    unfinished.rename(path)


def _shuffle(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    order = torch.randperm(tensor.numel(), generator=generator)
    return tensor.flatten()[order].reshape(tensor.shape)


def _path(net: Net, task: str, kind: str) -> Path:
    digest = sha256(f"{net}{task}".encode()).hexdigest()[:8]
    return CACHE / kind / f"{net.factory}-{task}-{digest}.pt"
