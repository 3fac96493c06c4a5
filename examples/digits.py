"""Train on scikit-learn's digits: 1,797 grey images of 8 x 8 pixels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

Data = tuple[torch.Tensor, torch.Tensor]


def digits() -> tuple[Data, Data]:
    """Return the training and the test images `(n, 1, 8, 8)` with their labels."""
    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    y = torch.tensor(labels)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    train, test = order[:1200], order[1200:]
    return (x[train], y[train]), (x[test], y[test])


def kaiming(model: nn.Module) -> nn.Module:
    """Return the model with Kaiming's values in its convolutions and linear layers."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model


def accuracy(model: nn.Module, data: Data) -> float:
    """Return the share of images that the model names rightly."""
    model.eval()
    with torch.no_grad():
        return float((model(data[0]).argmax(1) == data[1]).float().mean())


def train(
    model: nn.Module, data: Data, test: Data, *, steps: int, every: int, seed: int
) -> Iterator[tuple[int, float]]:
    """Train with SGD on batches of 64 drawn from `seed`; yield the step and the test accuracy, before the first too."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    draw = torch.Generator().manual_seed(seed)
    yield 0, accuracy(model, test)
    for step in range(1, steps + 1):
        model.train()
        batch = torch.randint(len(data[1]), (64,), generator=draw)
        optimizer.zero_grad()
        cross_entropy(model(data[0][batch]), data[1][batch]).backward()
        optimizer.step()
        if step % every == 0:
            yield step, accuracy(model, test)
