"""The processes that write one checkpoint together, as `torchrun` starts them; usually one alone."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from tli_cli.errors import TliError

JOIN = timedelta(minutes=5)
"""How long a process waits for the others to begin; one that has gone since is noticed at once."""

WAIT = timedelta(days=2)
"""How long one waits for the others to do their share: each may be hours of work."""

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process does what is done once."""
        return self.rank == 0

    def gathered(self, value: Any) -> list[Any]:
        """Return what every process passes, by rank; waits for all of them."""
        if self.count == 1:
            return [value]
        import torch.distributed as distributed

        found: list[Any] = [None] * self.count
        try:
            distributed.all_gather_object(found, value, group=_join())
        except RuntimeError as error:
            raise TliError(
                f"rank {self.rank}: another rank has gone ({str(error)[:120]}); see what it said and run the command "
                "again, which first puts back what was there"
            ) from error
        return found

    def agreed(self, plan: str) -> None:
        """Raise `TliError` unless every process has the same `plan`."""
        if len(set(self.gathered(plan))) > 1:
            said = "give each the same files and options, and the same versions"
            raise TliError(f"the ranks differ in their plan: {said}")

    @contextmanager
    def step(self) -> Iterator[None]:
        """Do the block in every process, and go on only where all have done it; else raise in every one."""
        try:
            yield
        except BaseException as error:
            with suppress(TliError):  # the others have gone as well: this is what there is to say
                self.gathered(str(error) or type(error).__name__)
            raise
        told = self.gathered(None)
        others = [f"rank {rank}: {said}" for rank, said in enumerate(told) if said is not None]
        if others:
            raise TliError(f"{others[0]}; nothing was written")


ALONE = Ranks()


@cache
def current_ranks() -> Ranks:
    """Return which process this is: of those that `torchrun` started, or the only one.

    Raises:
        TliError: the others cannot be reached.
    """
    known = {name: os.environ.get(name, "") for name in _NEEDED}
    if not all(known.values()) or not (known["RANK"].isdigit() and known["WORLD_SIZE"].isdigit()):
        return ALONE
    ranks = Ranks(int(known["RANK"]), int(known["WORLD_SIZE"]))
    if ranks.count > 1:
        _join()
    return ranks


@cache
def _join() -> Any:
    """Return the group of all processes; the first call waits for them to begin."""
    import torch.distributed as distributed

    if not distributed.is_available():
        raise TliError("torchrun: this torch is built without torch.distributed; run one process")
    try:
        if not distributed.is_initialized():
            distributed.init_process_group("gloo", timeout=JOIN)
            atexit.register(distributed.destroy_process_group)  # else its threads may abort the process when it ends
        return distributed.new_group(backend="gloo", timeout=WAIT)
    except (RuntimeError, ValueError) as error:
        raise TliError(
            f"torchrun: the other ranks cannot be reached: {str(error)[:200]}; nothing was written: see what they say"
        ) from error
