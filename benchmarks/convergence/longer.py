"""What networks four times as wide as their source reach after longer training.

`python -m benchmarks.convergence.longer`. Where copies of a channel cannot part, the target stays as narrow as its
source, and falls behind once it has learned what that can hold.
"""

from __future__ import annotations

from argparse import ArgumentParser
from statistics import mean, stdev

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.convergence import starts
from benchmarks.convergence.data import Data, load
from benchmarks.convergence.networks import Net
from benchmarks.convergence.pairs import Pair
from benchmarks.convergence.sweep import IMAGES
from benchmarks.convergence.training import Recipe, train

SIZES = (
    ("resnet_d", {"width": 6, "depth": 1}, {"width": 24, "depth": 1}),
    ("mbconv", {"width": 6, "depth": 1}, {"width": 24, "depth": 1}),
    ("convnext_scaled", {"width": 8, "depth": 1}, {"width": 32, "depth": 1}),
    ("vit_cls", {"width": 24, "depth": 3, "heads": 2}, {"width": 96, "depth": 3, "heads": 8}),
)
METHODS = ("default", "net2net", "crop", "auto")


def _pairs() -> list[Pair]:
    def net(factory: str, sizes: dict[str, int]) -> Net:
        return Net("held_out", factory, tuple(sizes.items()))

    return [
        Pair(f"{name} x4", "wider", net(name, small), net(name, large), "greek", "greek_small")
        for name, small, large in SIZES
    ]


def main() -> None:
    """Print a Markdown table: test accuracy and training loss at the end, with the spread over the seeds."""
    parser = ArgumentParser(prog="python -m benchmarks.convergence.longer", description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print("| pair | start | accuracy | training loss |\n|---|---|---:|---:|", flush=True)
    for pair in _pairs():
        for method in given.methods:
            ends = [_end(pair, method, seed, given.steps) for seed in range(given.seeds)]
            accuracies, losses = zip(*ends, strict=True)
            spread = f" ± {100 * stdev(accuracies):.1f}" if len(ends) > 1 else ""
            print(f"| {pair.name} | {method} | {100 * mean(accuracies):.1f}{spread} | {mean(losses):.3f} |", flush=True)


def _end(pair: Pair, method: str, seed: int, steps: int) -> tuple[float, float]:
    """Return the accuracy on the test set and the loss on the training set after `steps` steps of AdamW."""
    data = load(pair.target_data, IMAGES)
    model = starts.make(method, pair, seed).model
    curve = train(model, data, Recipe(steps=steps, every=steps, cosine=True), seed)
    return curve[-1], _loss(model, data)


def _loss(model: nn.Module, data: Data) -> float:
    model.eval()
    with torch.inference_mode():
        return float(cross_entropy(model(data.images), data.labels))


if __name__ == "__main__":
    main()
