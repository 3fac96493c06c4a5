"""Measure how long a name takes, against importing the library: `python benchmarks/startup.py`."""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 7
INSIDE = """
import time
started = time.perf_counter()
{body}
print(1000 * (time.perf_counter() - started))
"""
WARM = """
from tli_cli.catalogue import load, names, recognise, nearest
{setup}
{body}
import time
times = []
for _ in range(20):
    started = time.perf_counter()
    {body}
    times.append(time.perf_counter() - started)
print(1000 * min(times))
"""
COLD_CASES = {
    "import tli_cli.catalogue": "import tli_cli.catalogue",
    "list all names": "from tli_cli.catalogue import names; names()",
    "load resnet50": "from tli_cli.catalogue import load; load('timm:resnet50')",
    "load vit_base_patch16_224": "from tli_cli.catalogue import load; load('vit_base_patch16_224')",
    "import torch": "import torch",
    "import timm": "from tli_cli.catalogue.libraries import import_timm; import_timm()",
    "timm: build resnet50 on meta": (
        "from tli_cli.catalogue.libraries import import_timm; timm = import_timm(); import torch\n"
        "with torch.device('meta'): timm.create_model('resnet50')"
    ),
}
WARM_CASES = {
    "list all names": ("", "names()"),
    "load resnet50": ("", "load('timm:resnet50')"),
    "load vit_base_patch16_224": ("", "load('vit_base_patch16_224')"),
    "load efficientnet_b7": ("", "load('timm:efficientnet_b7')"),
    "recognise resnet50": ("t = load('timm:resnet50', num_classes=37).tensors", "recognise(t)"),
    "recognise vit_base_patch16_224": ("t = load('vit_base_patch16_224').tensors", "recognise(t)"),
    "nearest to resnet50 less a block": (
        "t = [t for t in load('timm:resnet50').tensors if not t.name.startswith('layer3.5')]",
        "nearest(t)",
    ),
}


def run(code: str) -> float:
    """Return what a fresh interpreter that runs `code` prints, in ms."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the times of one run: in a fresh interpreter (median), and again in the same one (best)."""
    print("| in a fresh interpreter | ms |\n|---|---:|")
    for title, body in COLD_CASES.items():
        times = [run(INSIDE.format(body=body)) for _ in range(RUNS)]
        print(f"| {title} | {statistics.median(times):,.1f} |")
    print("\n| again in the same interpreter | ms |\n|---|---:|")
    for title, (setup, body) in WARM_CASES.items():
        print(f"| {title} | {run(WARM.format(setup=setup, body=body)):,.1f} |")


if __name__ == "__main__":
    main()
