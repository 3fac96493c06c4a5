"""The two kinds of tasks: drawn characters of 64 x 64, and the next byte of Python code."""

from __future__ import annotations

import random
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

import torch

from benchmarks.convergence.glyphs import draw
from benchmarks.real_size.nets import CONTEXT, SIDE

TRAINED, TESTED = 12_000, 1_000
ALPHABETS = {"capitals": (ascii_uppercase, 1), "small letters": (ascii_lowercase, 2)}
PACKAGES = {"standard library": 3, "sympy": 4}
BYTES = 256


@dataclass(frozen=True)
class Task:
    """What a network is given, `(count, ...)`, and what it is to tell: a class, or one at each place."""

    classes: int
    given: torch.Tensor
    told: torch.Tensor

    def parts(self) -> tuple[slice, slice]:
        """Return which samples are trained on and which are tested on."""
        return slice(TESTED, None), slice(0, TESTED)


@lru_cache
def load(name: str, device: str) -> Task:
    """Return the task called `name`, its tensors on `device`."""
    classes, given, told = _characters(name) if name in ALPHABETS else _code(name)
    return Task(classes, given.to(device), told.to(device))


def _characters(name: str) -> tuple[int, torch.Tensor, torch.Tensor]:
    alphabet, seed = ALPHABETS[name]
    images, labels = draw(alphabet, TRAINED + TESTED, seed, SIDE)
    return len(alphabet), images, labels


def _code(name: str) -> tuple[int, torch.Tensor, torch.Tensor]:
    """Cut the files of a package, in an order drawn from a seed, into samples; tests come from files of their own."""
    seed = PACKAGES[name]
    files = sorted(path for path in _folder(name).rglob("*.py") if "site-packages" not in path.parts or name == "sympy")
    random.Random(seed).shuffle(files)
    text = b"".join(path.read_bytes() for path in files[:400])
    whole = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    rows = whole[: len(whole) // (CONTEXT + 1) * (CONTEXT + 1)].reshape(-1, CONTEXT + 1)[: TRAINED + TESTED].long()
    return BYTES, rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def _folder(name: str) -> Path:
    if name == "standard library":
        return Path(sysconfig.get_path("stdlib"))
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
