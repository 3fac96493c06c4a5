"""What an injection did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tli_cli.plan import Plan

Progress = Callable[[int, int, str], None]
"""Told after each tensor: how many are done, of how many, and its name."""


@dataclass(frozen=True)
class Report:
    """What an injection did: the plan, the files written, and how many target tensors were treated how."""

    plan: Plan
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    verification: float | None = None

    @property
    def exact(self) -> int:
        """The number of tensors placed exactly."""
        return self.plan.exact

    @property
    def adapted(self) -> int:
        """The number of tensors that were reshaped."""
        return self.plan.adapted

    @property
    def initialised(self) -> int:
        """The number of tensors that nothing was injected into."""
        return self.plan.initialised

    @property
    def unused(self) -> int:
        """The number of source tensors that feed nothing."""
        return len(self.plan.unused)

    @property
    def coverage(self) -> float:
        """The share of target elements that are fed from a source, in [0, 1]."""
        return self.plan.coverage
