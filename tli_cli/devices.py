"""The device that arithmetic is done on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from tli_cli.errors import TliError, first_line


def usable_device(name: str) -> torch.device:
    """Return the device called `name`; under `torchrun`, `cuda` is each process's own of several.

    Raises:
        TliError: there is no such device here.
    """
    try:
        device = torch.device(name)
        if name == "cuda" and torch.cuda.device_count() > 1:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = first_line(error)
        raise TliError(f"--device {name}: cannot be used here: {said}; leave it out to work on the CPU") from error
    return device


def double_device(device: torch.device) -> torch.device:
    """Return `device` if it computes in float64, as fits and comparisons do; else the CPU."""
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (RuntimeError, TypeError):
        return torch.device("cpu")
    return device


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Compute on `device` in the precision of the values, by algorithms that give the same every time where there are
    such, and in one thread of the CPU, so that results do not depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _deterministic() if device.type == "cuda" else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _deterministic() -> Iterator[None]:
    chosen = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")  # the other call for it imports all of torch's compiler
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*deterministic")
            yield
    finally:
        torch.set_deterministic_debug_mode(chosen)
