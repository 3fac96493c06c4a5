"""Results as lines of JSON, one a run, so that a sweep can stop at any time and go on later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

KEPT = Path(__file__).parent / "results"
"""Where runs are kept, a file for each half: a later sweep makes only those that are missing."""


@dataclass(frozen=True)
class Run:
    """One training: `subject` is the pair, or what a reference start is shared by."""

    subject: str
    method: str
    optimizer: str
    rate: float
    seed: int
    curve: tuple[float, ...]
    before: float
    seconds: float

    @property
    def key(self) -> tuple[str, str, str, float, int]:
        return (self.subject, self.method, self.optimizer, self.rate, self.seed)


class Results:
    """The runs of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        runs = [Run(**{**(entry := json.loads(line)), "curve": tuple(entry["curve"])}) for line in lines]
        self._runs = {run.key: run for run in runs}

    def __contains__(self, key: tuple[str, str, str, float, int]) -> bool:
        return key in self._runs

    def add(self, run: Run) -> None:
        """Remember `run` and append it to the file."""
        self._runs[run.key] = run
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(_line(run))

    def forget(self, identities: set[tuple[str, str, str]]) -> None:
        """Drop the runs of these subjects, methods and optimizers, in the file too."""
        self._runs = {key: run for key, run in self._runs.items() if key[:3] not in identities}
        if self.path.exists():
            self.path.write_text("".join(_line(run) for run in self._runs.values()))

    def of(self, subject: str, method: str, optimizer: str) -> list[Run]:
        """Return the runs of one start, in the order of their rates and seeds."""
        wanted = (subject, method, optimizer)
        return sorted((run for run in self._runs.values() if run.key[:3] == wanted), key=lambda run: run.key[3:])


def _line(run: Run) -> str:
    return json.dumps(asdict(run)) + "\n"
