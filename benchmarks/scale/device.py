"""Time injection on a device against the CPU, and compare what the two give.

Both sides carry out one plan in one process, in alternating order, after an unmeasured run of each that loads what they
need. A fit is made once on each side: it takes minutes on the CPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import torch
from generate import generate
from safetensors.torch import load_file, save_file

from tli_cli import Options, inject, match
from tli_cli.cli.parsers import parse_size
from tli_cli.references import Reading, resolve

ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """An injection between two files, or into a named architecture, that is timed on both sides."""

    what: str
    source: str
    target: str
    options: Options
    rounds: int = ROUNDS


def generated(kind: str, size: str, method: str) -> Callable[[Path], Case]:
    def case(folder: Path) -> Case:
        paths = [folder / f"{kind}-{size}-{wider}.safetensors" for wider in (1.0, 1.25)]
        for path, wider in zip(paths, (1.0, 1.25), strict=True):
            if not path.exists():
                generate(kind, parse_size(size), path, None, wider)
        return Case(f"{kind}, {size}, 1.25 x wider, {method}", str(paths[0]), str(paths[1]), Options(method=method))

    return case


def fitted(source: str, target: str, side: int) -> Callable[[Path], Case]:
    def case(folder: Path) -> Case:
        path = folder / "trained.safetensors"
        save_file(random_state(source), path)
        options = Options(method="fit", source_arch=source, input_shape=(3, side, side))
        return Case(f"fit, {source} to {target}, {side} x {side}", str(path), target, options, 1)

    return case


def random_state(reference: str) -> dict[str, torch.Tensor]:
    """Return random values for the named architecture: weights of He's variance, norms near what they start with."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for spec in resolve(reference, Reading()).architecture.tensors:
        value = torch.randn(spec.shape, generator=generator)
        if spec.dtype == "int64":
            state[spec.name] = torch.zeros(spec.shape, dtype=torch.int64)
        elif len(spec.shape) > 1:
            state[spec.name] = value * (2 / value[0].numel()) ** 0.5
        else:
            state[spec.name] = 0.1 * value + (1.0 if spec.name.endswith(("weight", "var")) else 0.0)
    return state


CASES = {
    "wider": generated("llm", "1GB", "maps"),
    "wider-vision": generated("vision", "1GB", "maps"),
    "resize": generated("llm", "60MB", "resize"),
    "combo": generated("vision", "60MB", "combo"),
    "fit": fitted("torchvision:resnet18", "torchvision:mobilenet_v2", 32),
}


def measured(case: Case, device: str, folder: Path) -> dict[str, object]:
    """Return the seconds on both sides and how far apart the results are, over the largest value of each tensor."""
    plan = match(case.source, case.target, options=case.options)
    seconds: dict[str, list[float]] = {"cpu": [], device: []}
    for done in range(case.rounds + (case.rounds > 1)):
        for side in ("cpu", device) if done % 2 else (device, "cpu"):
            out = folder / f"{side}.safetensors"
            begun = time.perf_counter()
            inject(case.source, case.target, out, plan=plan, options=replace(case.options, device=side, force=True))
            if done or case.rounds == 1:
                seconds[side].append(time.perf_counter() - begun)
    return {
        "what": case.what,
        "seconds": seconds,
        "apart": apart(folder / "cpu.safetensors", folder / f"{device}.safetensors"),
    }


def apart(first: Path, second: Path) -> float:
    mine, theirs = load_file(first), load_file(second)
    return max(
        float((value.double() - theirs[name].double()).abs().max() / value.double().abs().max().clamp_min(1e-12))
        for name, value in mine.items()
        if value.is_floating_point() and value.numel()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--work", type=Path, help="where the files are made (default: a temporary folder)")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    begun = time.perf_counter()
    torch.zeros(1, device=given.device)
    ready = time.perf_counter() - begun
    found = []
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        for name in given.cases:
            found.append(measured(CASES[name](Path(folder)), given.device, Path(folder)))
            sys.stdout.write(_row(found[-1], given.device) + "\n")
            sys.stdout.flush()
    about = {
        "device": torch.cuda.get_device_name() if given.device.startswith("cuda") else given.device,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "ready": ready,
        "cases": found,
    }
    if given.json:
        given.json.write_text(json.dumps(about, indent=1) + "\n")


def _row(found: dict[str, object], device: str) -> str:
    seconds = found["seconds"]
    assert isinstance(seconds, dict)
    times = [f"{statistics.median(seconds[s]):.2f} ({min(seconds[s]):.2f}-{max(seconds[s]):.2f})" for s in seconds]
    ratio = statistics.median(seconds["cpu"]) / statistics.median(seconds[device])
    return f"| {found['what']} | {' | '.join(times)} | {ratio:.1f} | {found['apart']:.1e} |"


if __name__ == "__main__":
    main()
