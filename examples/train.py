"""Train a network of `nets.py` on digits, from Kaiming's values or from a checkpoint that it must fit exactly.

`python examples/train.py SmallResNet --steps 400 --save source.pt`
`python examples/train.py WideResNet --init wide.safetensors`
"""

from __future__ import annotations

import argparse

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
    torch.manual_seed(0)
    model = getattr(nets, given.net)()
    if given.init:
        model.load_state_dict(load_file(given.init), strict=True)
    else:
        kaiming(model)
    training, test = digits()
    every = max(given.steps // 8, 1)
    curve = list(train(model, training, test, steps=given.steps, every=every, seed=1))
    print("step     " + "".join(f"{step:6d}" for step, _ in curve))
    print("accuracy " + "".join(f"{value:6.1%}" for _, value in curve))
    if given.save:
        torch.save(model.state_dict(), given.save)


if __name__ == "__main__":
    main()
