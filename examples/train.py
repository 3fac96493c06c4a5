"""Train a network of `nets.py` on digits from Kaiming's values; first from a checkpoint too, that it must fit exactly.

`python examples/train.py SmallResNet --steps 300 --save source.pt`
`python examples/train.py WideResNet --init wide.safetensors`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import nets
import torch
from digits import digits, kaiming, train
from safetensors.torch import load_file


def main() -> None:
    """Train, and print the test accuracy on the way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("net", help="a class of nets.py")
    parser.add_argument("--init", help="a safetensors file to start from")
    parser.add_argument("--save", help="where to save the trained state dict")
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()

    torch.set_num_threads(1)  # the networks are so small that more would only wait for each other
    net = getattr(nets, given.net)
    if given.init:
        model = net()
        model.load_state_dict(load_file(given.init), strict=True)
        show(given.init, learn(model, given.steps))
    torch.manual_seed(0)
    model = kaiming(net())
    show("Kaiming", learn(model, given.steps), heading=not given.init)
    if given.save:
        torch.save(model.state_dict(), given.save)


def learn(model: torch.nn.Module, steps: int) -> list[tuple[int, float]]:
    """Train; return the test accuracy at nine steps. The batches are the same for every model."""
    training, test = digits()
    return list(train(model, training, test, steps=steps, every=max(steps // 8, 1), seed=1))


def show(start: str, curve: Sequence[tuple[int, float]], *, heading: bool = True) -> None:
    """Print one line for a start, under the steps if they are to be printed."""
    if heading:
        print(f"{'step':<18}" + "".join(f"{step:6d}" for step, _ in curve))
    print(f"{start:<18}" + "".join(f"{value:6.1%}" for _, value in curve))


if __name__ == "__main__":
    main()
