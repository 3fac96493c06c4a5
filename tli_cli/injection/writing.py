"""Carry out a plan on files: stream each target tensor from the sources to the output.

torch is imported when the first tensor needs more than copying, and choosing along its axes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tli_cli.allocator import return_large_blocks
from tli_cli.architecture import TensorSpec
from tli_cli.axis_maps.importance import group_importance
from tli_cli.axis_maps.values import PlanMaps
from tli_cli.checkpoints import write_checkpoint
from tli_cli.checkpoints.writing.contents import Content
from tli_cli.checkpoints.writing.ranks import current_ranks
from tli_cli.fitting.choice import is_tried
from tli_cli.floats import STORED
from tli_cli.injection.parted import Parted
from tli_cli.injection.stored_values import StoredValues
from tli_cli.injection.streams import Streams
from tli_cli.plan import Plan
from tli_cli.planning.quantised import quantised_layers
from tli_cli.report import Progress, Report
from tli_cli.version import __version__

if TYPE_CHECKING:
    from tli_cli.injection.making import Maker
    from tli_cli.options import Options
    from tli_cli.references import Reference


def write_result(
    plan: Plan,
    sources: Sequence[Reference],
    target: Reference,
    out: Path,
    options: Options,
    progress: Progress | None,
) -> Report:
    """Write the result of `plan` to `out` and report it.

    Raises:
        TliError: a source has no values, holds NaN or infinite values and may not, or the output cannot be written.
    """
    if options.device != "cpu":
        from tli_cli.devices import usable_device

        usable_device(options.device)
    return_large_blocks()
    ranks = current_ranks()
    notes = provenance(plan)
    ranks.agreed(notes["tli.plan"], "their plan")
    stored_values = StoredValues(sources, target, keep_nonfinite=options.on_nonfinite == "keep")
    maps = PlanMaps(plan, lambda axis_map: group_importance(axis_map, stored_values.read))
    streams = Streams(plan, maps, stored_values)
    maker: Maker | None = None
    stored = target.checkpoint.stored_names if target.checkpoint is not None else {}
    quantised = quantised_layers(target.architecture.tensors) if options.dtype else {}
    specs = [
        _output_spec(spec, stored, None if spec.name in quantised else options.dtype)
        for spec in target.architecture.tensors
    ]
    original = {out_spec.name: spec for out_spec, spec in zip(specs, target.architecture.tensors, strict=True)}
    done = 0

    def made_by() -> Maker:
        nonlocal maker
        if maker is None:
            from tli_cli.injection.making import Maker

            maker = Maker(plan, maps, stored_values, sources, target, options, progress)
        return maker

    def produce(spec: TensorSpec) -> Content:
        carried = made_by().plan if plan.fits or is_tried(plan) else plan  # either may come to nothing
        step = carried.by_target[original[spec.name].name]
        unchanged = stored_values.unchanged(step, spec)
        if unchanged is not None:
            return unchanged
        chosen = streams.content(step, spec)
        if chosen is not None:
            return stored_values.made(step, spec, chosen)
        return stored_values.made(step, spec, made_by().make(step, spec.dtype))

    def tell(spec: TensorSpec) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(parted.specs), spec.name)

    parted = Parted(specs, target.checkpoint.layouts if target.checkpoint is not None else {}, produce)
    files = write_checkpoint(
        out,
        parted.specs,
        parted.produce,
        metadata=notes,
        max_shard_size=options.max_shard_size,
        force=options.force,
        progress=tell,
        ranks=ranks,
    )
    return Report(
        maker.plan if maker is not None else plan,
        files,
        (*stored_values.warnings, *_not_cast(quantised, options.dtype)),
    )


def _not_cast(quantised: Mapping[str, str], dtype: str | None) -> tuple[str, ...]:
    layers = sorted(set(quantised.values()))
    if not layers:
        return ()
    return (
        f"--dtype {dtype}: {len(layers)} quantised layers, such as {layers[0]}, stay as they are with their scales",
    )


def _output_spec(spec: TensorSpec, stored: Mapping[str, str], dtype: str | None) -> TensorSpec:
    floating = spec.dtype in STORED and not spec.dtype.startswith("complex")
    tied = stored.get(spec.tied_to, spec.tied_to) if spec.tied_to else None
    return replace(
        spec, name=stored.get(spec.name, spec.name), dtype=dtype if dtype and floating else spec.dtype, tied_to=tied
    )


def provenance(plan: Plan) -> dict[str, str]:
    """Return the metadata of a result: what it was made from, how, and by which versions."""
    return {
        "format": "pt",
        "tli.version": __version__,
        "tli.torch": _torch_version(),
        "tli.sources": "; ".join(f"{side.origin} {side.fingerprint}" for side in plan.sources),
        "tli.target": f"{plan.target.origin} {plan.target.fingerprint}",
        "tli.matcher": plan.matcher,
        "tli.method": plan.method,
        "tli.seed": str(plan.seed),
        "tli.plan": hashlib.sha256(plan.to_json().encode()).hexdigest(),
    }


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "unknown"
