"""Initialise any network from any checkpoint: match layers, reshape tensors, write an initial checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tli_cli.version import __version__ as __version__

if TYPE_CHECKING:
    from tli_cli.api import inject, inspect, match, matrix, rank, score, verify
    from tli_cli.architecture import Architecture
    from tli_cli.errors import GateError, TliError
    from tli_cli.injection.verification import Verification
    from tli_cli.live import apply_tli
    from tli_cli.matrices.matrix import Matrix
    from tli_cli.options import Options
    from tli_cli.plan import Plan
    from tli_cli.ranking import Candidate, Ranking
    from tli_cli.report import Report
    from tli_cli.scoring.score import Score

__all__ = [
    "Architecture",
    "Candidate",
    "GateError",
    "Matrix",
    "Options",
    "Plan",
    "Ranking",
    "Report",
    "Score",
    "TliError",
    "Verification",
    "apply_tli",
    "inject",
    "inspect",
    "match",
    "matrix",
    "rank",
    "score",
    "verify",
]

_HOMES = {
    "apply_tli": "tli_cli.live",
    "Architecture": "tli_cli.architecture",
    "Candidate": "tli_cli.ranking",
    "GateError": "tli_cli.errors",
    "Matrix": "tli_cli.matrices.matrix",
    "Options": "tli_cli.options",
    "Plan": "tli_cli.plan",
    "Ranking": "tli_cli.ranking",
    "Report": "tli_cli.report",
    "Score": "tli_cli.scoring.score",
    "TliError": "tli_cli.errors",
    "Verification": "tli_cli.injection.verification",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that importing the package does no work."""
    if name not in __all__:
        raise AttributeError(f"module 'tli_cli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "tli_cli.api")), name)


def __dir__() -> list[str]:
    """Return the public names, imported or not yet, for those who look for them in a notebook."""
    return sorted({*globals(), *__all__})
