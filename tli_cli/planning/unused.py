"""Which tensors of the sources feed nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.plan import Plan, Step


def unused_by(
    steps: Sequence[Step], sources: Sequence[Architecture], spared: Sequence[Collection[str]] = ()
) -> tuple[str, ...]:
    """Return the names of the tensors of `sources` that no step reads, but for those that are `spared`; numbered where
    there are several sources."""
    used = {
        (piece.model, own)
        for step in steps
        for piece in step.pieces
        for name in piece.names
        for own in (name, sources[piece.model].by_name[name].tied_to)
    }
    return tuple(
        spec.name if len(sources) == 1 else f"{model}:{spec.name}"
        for model, source in enumerate(sources)
        for spec in source.tensors
        if (model, spec.name) not in used and spec.tied_to is None and not (spared and spec.name in spared[model])
    )


def recounted(plan: Plan, sources: Sequence[Architecture]) -> Plan:
    """Return a plan that was changed by hand with what it leaves unused now."""
    read = [step for step in plan.steps if step.action == "transfer"]
    known = {
        name if len(sources) == 1 else f"{i}:{name}" for i, source in enumerate(sources) for name in source.by_name
    }
    aside = tuple(name for name in plan.unused if name not in known)
    return replace(plan, unused=(*unused_by(read, sources), *aside))
