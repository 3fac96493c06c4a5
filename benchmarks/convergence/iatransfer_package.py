"""The published package of DPIAT, `iatransfer` 1.0.3, run with its defaults: blocks, dynamic programming, clip.

It is installed without its dependencies beside the cache, since they no longer install, and its `__init__` and its
graph-based parts, which the defaults never use, are left out of the import.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from types import ModuleType

from torch import nn

from benchmarks.convergence.networks import CACHE

FOLDER = CACHE / "iatransfer"
TOOLKIT = "iatransfer.toolkit"


def transfer(source: nn.Module, target: nn.Module) -> None:
    """Transfer `source` into `target` in place."""
    parts = _parts()
    matching, standardize = parts["matching"], parts["standardization"].standardize
    matching.set_score(parts["score"])
    parts["score"].precompute_scores(source, target)
    parts["transfer"].transfer(matching.match(standardize(source), standardize(target)))


def install() -> None:
    """Install the package where only this benchmark finds it."""
    if not (FOLDER / "iatransfer").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(FOLDER)]
        subprocess.run([*command, "iatransfer==1.0.3"], check=True)


def _parts() -> dict[str, object]:
    install()
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    if TOOLKIT not in sys.modules:
        package = ModuleType(TOOLKIT)
        package.__path__ = [str(FOLDER / "iatransfer" / "toolkit")]
        sys.modules[TOOLKIT] = package
    return {
        "standardization": _part("standardization.blocks_standardization", "BlocksStandardization"),
        "matching": _part("matching.dp_matching", "DPMatching"),
        "score": _part("score.shape_score", "ShapeScore"),
        "transfer": _part("transfer.clip_transfer", "ClipTransfer"),
    }


def _part(module: str, name: str) -> object:
    return getattr(import_module(f"{TOOLKIT}.{module}"), name)()
