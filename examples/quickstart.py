"""Train a small network, initialise a wider and deeper one from it with `tli inject`, and race it against Kaiming.

Run from the root of the repository: `python examples/quickstart.py`. About a minute on two CPU cores.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import torch
from chart import chart
from digits import digits, kaiming, train
from nets import SmallResNet, WiderResNet
from rich.console import Console
from safetensors.torch import load_file

HERE = Path(os.path.relpath(Path(__file__).parent))
OUT = HERE / "out"
STEPS, EVERY = 60, 4


def tli(*arguments: str) -> None:
    """Run a `tli` command and show it."""
    Console().print(f"\n[bold]$ tli {shlex.join(arguments)}[/bold]", highlight=False, soft_wrap=True)
    subprocess.run([sys.executable, "-m", "tli_cli", *arguments], check=True)


def main() -> None:
    """Train the source, inject it, train both targets on the same batches, and draw their accuracy."""
    OUT.mkdir(exist_ok=True)
    console = Console()
    training, test = digits()

    torch.set_num_threads(1)  # the networks are so small that more would only wait for each other
    torch.manual_seed(0)
    source = SmallResNet()
    console.print("Training the source, SmallResNet, on scikit-learn's digits ...")
    *_, (_, reached) = train(source, training, test, steps=400, every=100, seed=0)
    torch.save(source.state_dict(), OUT / "source.pt")
    console.print(f"It names {reached:.1%} of the test digits rightly. Saved as {OUT / 'source.pt'}.")

    nets = str(HERE / "nets.py")
    tli(
        *("inject", str(OUT / "source.pt"), "--source-arch", f"{nets}:SmallResNet"),
        *("--target", f"{nets}:WiderResNet", "--input-shape", "1,8,8"),
        *("-o", str(OUT / "init.safetensors"), "--force"),
    )

    injected = WiderResNet()
    injected.load_state_dict(load_file(OUT / "init.safetensors"), strict=True)
    plain = kaiming(WiderResNet())
    console.print(f"\nTraining WiderResNet for {STEPS} steps from both starts, on the same batches ...\n")
    curves = {
        name: list(train(model, training, test, steps=STEPS, every=EVERY, seed=1))
        for name, model in (("tli inject", injected), ("Kaiming", plain))
    }
    console.print(chart(curves, title="test accuracy by training step"))


if __name__ == "__main__":
    main()
