from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError

Refuses = Callable[..., str]

MAX_SECONDS = 20.0
MAX_BYTES = 1 << 30


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where the block takes long, or reserves memory that a small file cannot need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES, hard))
    start = time.perf_counter()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.perf_counter() - start < MAX_SECONDS


@pytest.fixture(scope="session", autouse=True)
def _imported() -> None:
    import torch

    torch.set_num_threads(1)
    torch.load  # noqa: B018


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that hostile code would make."""
    return tmp_path / "canary"


@pytest.fixture
def refuses(tmp_path: Path, canary: Path) -> Refuses:
    """Open a path, read every tensor, and return the one message with which it is refused."""

    def check(path: Path, *words: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(CheckpointError) as caught, bounded():
            checkpoint = open_checkpoint(path)
            for spec in checkpoint.tensors:
                checkpoint.read(spec.name)
        message = str(caught.value)
        assert not canary.exists(), "code from the file was run"
        assert sorted(tmp_path.rglob("*")) == before, "something was written"
        assert len(message) < 1500, message
        assert path.name in message or path.parent.name in message, message
        for word in words:
            assert word in message, message
        return message

    return check
