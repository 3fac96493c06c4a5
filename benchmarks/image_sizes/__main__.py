"""Train targets of another family than their source, fitted on images of several sizes, for the same arithmetic each.

`python -m benchmarks.image_sizes --sides 96 48`. Sources are trained once on drawn capital letters of 96 x 96,
targets learn small ones, at the better of two rates. Each fit is allowed the arithmetic of
`--looks` at whole images.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from string import ascii_lowercase, ascii_uppercase
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file
from torch import nn

from benchmarks.convergence.data import Data
from benchmarks.convergence.glyphs import draw
from benchmarks.convergence.training import Recipe, area, train
from benchmarks.image_sizes import nets
from tli_cli import api
from tli_cli.fitting import work
from tli_cli.options import Options

SIDE, TESTED = 96, 400
RATES = (1e-3, 3e-3)
HERE = Path(__file__).parent
PAIRS = {
    "resnet-to-mobilenetv2": ("resnet?width=24", "named?name=mobilenetv2_035"),
    "resnet-to-convnext": ("resnet?width=24", "convnext?width=24"),
    "resnet-to-regnet": ("resnet?width=24", "named?name=regnetx_002"),
    "bottlenecks-to-mnasnet": ("bottlenecks?width=16", "named?name=mnasnet_small"),
    "bottlenecks-to-ghostnet": ("bottlenecks?width=16", "named?name=ghostnet_050"),
    "resnet-to-bottlenecks": ("resnet?width=24", "bottlenecks?width=16"),
    "regnet-to-resnet": ("named?name=regnetx_002", "resnet?width=16"),
}


def main() -> None:
    """Print a Markdown table: areas under the accuracy curve in percent, the mean over the seeds, and their range."""
    parser = ArgumentParser(prog="python -m benchmarks.image_sizes", description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[96, 64, 48])
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--looks", type=int, default=work.LOOKS, help="how many whole images cost as much as a fit")
    given = parser.parse_args()
    (HERE / ".cache").mkdir(exist_ok=True)
    work.LOOKS = given.looks
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    starts = ["constructor", "maps", *(f"fit at {side}" for side in given.sides)]
    print("| pair | " + " | ".join(starts) + " |\n|---|" + "---:|" * len(starts), flush=True)
    for pair in given.pairs:
        cells = [_cell(list(_areas(pair, start, given.seeds, given.steps))) for start in starts]
        print(f"| {pair} | " + " | ".join(cells) + " |", flush=True)


def _cell(areas: list[float]) -> str:
    return f"{100 * mean(areas):.1f} ({100 * min(areas):.1f}-{100 * max(areas):.1f})"


def _areas(pair: str, start: str, seeds: int, steps: int) -> Iterator[float]:
    data = _data(ascii_lowercase, 3000, seed=2)
    for seed in range(seeds):
        yield max(
            area(train(_started(pair, start, seed), data, Recipe(rate=rate, steps=steps, every=8), seed))
            for rate in RATES
        )


def _started(pair: str, start: str, seed: int) -> nn.Module:
    source, target = PAIRS[pair]
    model = _build(target, seed)
    if start == "constructor":
        return model
    made = HERE / ".cache" / f"{pair}-{start}-{work.LOOKS}-{seed}.safetensors"
    if not made.exists():
        method, _, side = start.partition(" at ")
        _inject(source, target, method, int(side or SIDE), made, seed)
    model.load_state_dict(load_file(made))
    return model


def _inject(source: str, target: str, method: str, side: int, out: Path, seed: int) -> None:
    """Write what `target` starts with, having been fitted on images of `side`, at the cost of whole ones."""
    reference = f"{HERE / 'nets.py'}:{target}&classes=26"
    whole = api.inspect(reference, options=Options(input_shape=(3, SIDE, SIDE)))
    work.WORK = work.LOOKS * 3 * work.forward_work(whole)
    options = Options(
        method=method,
        head="fresh",
        seed=seed,
        source_arch=f"{HERE / 'nets.py'}:{source}&classes=26",
        input_shape=(3, side, side),
    )
    with TemporaryDirectory(dir=out.parent) as folder:
        unfinished = Path(folder) / "start.safetensors"
        api.inject([str(_trained(source))], reference, str(unfinished), options=options)
        unfinished.rename(out)


def _trained(net: str) -> Path:
    """Return the checkpoint of `net`, trained if that was not done before."""
    path = HERE / ".cache" / f"{net.replace('?', '-')}.pt"
    if not path.exists():
        model = _build(net, seed=5)
        curve = train(
            model, _data(ascii_uppercase, 4000, seed=1), Recipe(rate=4e-3, steps=400, every=50, cosine=True), 7
        )
        print(f"trained {net}: accuracy {curve[-1]:.3f}", flush=True)
        torch.save({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return path


def _build(net: str, seed: int) -> nn.Module:
    factory, _, given = net.partition("?")
    key, _, value = given.partition("=")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(nets, factory)(26, **{key: int(value) if value.isdecimal() else value})


def _data(characters: str, count: int, seed: int) -> Data:
    images, labels = draw(characters, count + TESTED, seed, SIDE)
    test, rest = slice(0, TESTED), slice(TESTED, None)
    return Data(characters, len(characters), images[rest], labels[rest], images[test], labels[test])


if __name__ == "__main__":
    main()
