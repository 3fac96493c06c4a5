"""Carry out a plan on files: stream each target tensor from the sources to the output.

torch is imported when the first tensor needs more than copying, and choosing along its axes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tli_cli.allocator import return_large_blocks
from tli_cli.architecture import TensorSpec
from tli_cli.axis_maps.values import PlanMaps
from tli_cli.checkpoints import write_checkpoint
from tli_cli.checkpoints.writing.contents import Content
from tli_cli.checkpoints.writing.job import Job
from tli_cli.checkpoints.writing.model_directory import is_model_directory, write_model_directory
from tli_cli.checkpoints.writing.ranks import current_ranks
from tli_cli.describe.quantised import quantised_layers
from tli_cli.fitting.choice import is_tried
from tli_cli.floats import STORED
from tli_cli.injection.parted import Parted
from tli_cli.injection.stored_values import StoredValues
from tli_cli.injection.streams import Streams
from tli_cli.plan import Plan
from tli_cli.references.beside import BESIDE, beside_weights
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
    ranks.agreed(notes["tli.plan"])
    made = _Made(plan, sources, target, options, progress)
    parted = Parted(made.specs, target.checkpoint.layouts if target.checkpoint is not None else {}, made.produce)
    job = Job(
        parted.produce,
        notes,
        options.max_shard_size,
        options.force,
        _counting(progress, len(parted.specs)),
        ranks,
    )
    if is_model_directory(out):
        beside = beside_weights(out, sources[0], target, options, _main_dtype(parted.specs))
        files = write_model_directory(out, parted.specs, job, beside=beside, own=BESIDE)
    else:
        files = write_checkpoint(out, parted.specs, job)
    return Report(made.plan, files, made.warnings)


def _main_dtype(specs: Sequence[TensorSpec]) -> str:
    """Return the floating type of most of the values."""
    sizes: Counter[str] = Counter()
    for spec in specs:
        sizes[spec.dtype] += spec.size * _is_floating(spec)
    return sizes.most_common(1)[0][0]


def _counting(progress: Progress | None, of: int) -> Callable[[TensorSpec], None]:
    done = count(1)

    def tell(spec: TensorSpec) -> None:
        if progress is not None:
            progress(next(done), of, spec.name)

    return tell


class _Made:
    """What each tensor of the output holds, the cheapest way first: as stored, chosen along axes, made by torch."""

    def __init__(
        self,
        plan: Plan,
        sources: Sequence[Reference],
        target: Reference,
        options: Options,
        progress: Progress | None,
    ) -> None:
        self._plan, self._dtype = plan, options.dtype
        self._stored = stored = StoredValues(sources, target, keep_nonfinite=options.on_nonfinite == "keep")
        self._maps = PlanMaps(plan, stored.read)
        self._streams = Streams(plan, self._maps, stored)
        self._maker: Maker | None = None
        self._making = sources, target, options, progress
        self._quantised = quantised_layers(target.architecture.tensors) if options.dtype else {}
        wanted, names = target.architecture.tensors, target.checkpoint.stored_names if target.checkpoint else {}
        self.specs = [
            _output_spec(spec, names, None if spec.name in self._quantised else options.dtype) for spec in wanted
        ]
        self._names = {out_spec.name: spec.name for out_spec, spec in zip(self.specs, wanted, strict=True)}

    def produce(self, spec: TensorSpec) -> Content:
        """Return what the tensor `spec` of the output holds."""
        plan = self._made_by().plan if self._plan.fits or is_tried(self._plan) else self._plan  # may come to nothing
        step = plan.by_target[self._names[spec.name]]
        unchanged = self._stored.unchanged(step, spec)
        if unchanged is not None:
            return unchanged
        chosen = self._streams.content(step, spec)
        return self._stored.made(step, spec, self._made_by().make(step, spec.dtype) if chosen is None else chosen)

    @property
    def plan(self) -> Plan:
        """The plan that was carried out."""
        return self._plan if self._maker is None else self._maker.plan

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of the values."""
        return (*self._stored.warnings, *_not_cast(self._quantised, self._dtype))

    def _made_by(self) -> Maker:
        if self._maker is None:
            from tli_cli.injection.making import Maker

            self._maker = Maker(self._plan, self._maps, self._stored, *self._making)
        return self._maker


def _not_cast(quantised: Mapping[str, str], dtype: str | None) -> tuple[str, ...]:
    layers = sorted(set(quantised.values()))
    if not layers:
        return ()
    return (
        f"--dtype {dtype}: {len(layers)} quantised layers, such as {layers[0]}, stay as they are with their scales",
    )


def _output_spec(spec: TensorSpec, stored: Mapping[str, str], dtype: str | None) -> TensorSpec:
    tied = stored.get(spec.tied_to, spec.tied_to) if spec.tied_to else None
    cast = dtype if dtype and _is_floating(spec) else spec.dtype
    return replace(spec, name=stored.get(spec.name, spec.name), dtype=cast, tied_to=tied)


def _is_floating(spec: TensorSpec) -> bool:
    return spec.dtype in STORED and not spec.dtype.startswith("complex")


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
    """Return which torch is installed, by its files: `importlib.metadata` takes a tenth of a start to import."""
    found = find_spec("torch")
    home = Path(found.origin).parents[1] if found and found.origin else Path()
    if noted := next(home.glob("torch-*.dist-info"), None):
        return noted.name.removeprefix("torch-").removesuffix(".dist-info")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torch")
    except PackageNotFoundError:
        return "unknown"
