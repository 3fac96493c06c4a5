"""Carry out a plan on files: stream each target tensor from the sources to the output."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import FileRange, write_checkpoint
from tli_cli.errors import TliError
from tli_cli.initial import default_initial, replay
from tli_cli.injector import Injector
from tli_cli.plan import Plan, Step
from tli_cli.report import Progress, Report
from tli_cli.starting import CONSTANTS, constant_start

if TYPE_CHECKING:
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

    values = SourceValues(sources, options)
    start = InitialValues(target, options)
    injector = Injector(plan, values.read, start.value)
    steps = plan.by_target
    stored = target.checkpoint.stored_names if target.checkpoint is not None else {}
    specs = [_output_spec(spec, stored, options.dtype) for spec in target.architecture.tensors]
    original = {out_spec.name: spec for out_spec, spec in zip(specs, target.architecture.tensors, strict=True)}
    done = 0

    def produce(spec: TensorSpec) -> torch.Tensor | FileRange:
        step = steps[original[spec.name].name]
        unchanged = values.unchanged(step, spec)
        if unchanged is not None:
            return unchanged
        made = injector.make(step)
        return made.to(device="cpu", dtype=getattr(torch, spec.dtype)).contiguous()

    def tell(spec: TensorSpec) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(specs), spec.name)

    files = write_checkpoint(
        out,
        specs,
        produce,
        metadata=provenance(plan),
        max_shard_size=options.max_shard_size,
        force=options.force,
        progress=tell,
    )
    return Report(plan, files, tuple(values.warnings))


def _output_spec(spec: TensorSpec, stored: Mapping[str, str], dtype: str | None) -> TensorSpec:
    from dataclasses import replace

    floating = spec.dtype.startswith(("float", "bfloat"))
    tied = stored.get(spec.tied_to, spec.tied_to) if spec.tied_to else None
    return replace(
        spec, name=stored.get(spec.name, spec.name), dtype=dtype if dtype and floating else spec.dtype, tied_to=tied
    )


class SourceValues:
    """Read source tensors, report NaN and infinite values, and hand over equal tensors as ranges of their files."""

    def __init__(self, sources: Sequence[Reference], options: Options) -> None:
        for source in sources:
            if source.checkpoint is None:
                raise TliError(
                    f"{source.text}: an architecture without values cannot be injected from; name a checkpoint of it"
                )
        self._checkpoints = [source.checkpoint for source in sources if source.checkpoint is not None]
        self._keep = options.on_nonfinite == "keep"
        self._device = torch.device(options.device)
        self._checked: set[tuple[int, str]] = set()
        self._last: tuple[tuple[int, str], torch.Tensor] | None = None
        self.warnings: list[str] = []

    def read(self, model: int, name: str) -> torch.Tensor:
        """Return tensor `name` of source `model` on the device of the arithmetic."""
        key = (model, name)
        if self._last is None or self._last[0] != key:
            tensor = self._checkpoints[model].read(name)
            self._check(key, tensor)
            self._last = (key, tensor.to(self._device))
        return self._last[1]

    def unchanged(self, step: Step, spec: TensorSpec) -> FileRange | None:
        """Return where the bytes of the step's result stand, if they are a source tensor's as they are."""
        if step.action != "transfer" or step.resizer != "copy" or len(step.pieces) != 1:
            return None
        piece = step.pieces[0]
        if piece.weight != 1.0 or piece.target_range or piece.source_range or _reorders(piece.layout):
            return None
        checkpoint = self._checkpoints[piece.model]
        held = next((t for t in checkpoint.tensors if t.name == piece.source), None)
        if held is None or held.dtype != spec.dtype or held.size != spec.size:
            return None
        self._check((piece.model, piece.source), checkpoint.read(piece.source))
        return checkpoint.file_range(piece.source)

    def _check(self, key: tuple[int, str], tensor: torch.Tensor) -> None:
        if key in self._checked or not tensor.is_floating_point():
            return
        self._checked.add(key)
        if _is_finite(tensor):
            return
        text = f"{self._checkpoints[key[0]].path}: {key[1]} holds NaN or infinite values"
        if not self._keep:
            raise TliError(f"{text}; --on-nonfinite keep injects them all the same")
        self.warnings.append(text)


def _reorders(layout: Any) -> bool:
    if layout is None:
        return False
    moved = [place for place in layout.permute if layout.split[place] != 1]
    return moved != sorted(moved)


def _is_finite(tensor: torch.Tensor) -> bool:
    """Tell whether all values are finite; one sum decides in nearly every case."""
    if tensor.element_size() == 1:
        tensor = tensor.float()
    if bool(torch.isfinite(tensor.sum(dtype=torch.float32 if tensor.element_size() <= 4 else None))):
        return True
    return bool(torch.isfinite(tensor).all())


class InitialValues:
    """What a target tensor starts from: its own value, its constructor's, or a constant."""

    def __init__(self, target: Reference, options: Options) -> None:
        self._target, self._seed = target, options.seed

    def value(self, step: Step) -> torch.Tensor:
        """Return the initial value of the step's target tensor, on the CPU."""
        architecture = self._target.architecture
        spec = architecture.by_name[step.target]
        dtype = getattr(torch, spec.dtype)
        if step.initial in CONSTANTS:
            return constant_start(step.initial, spec.shape, dtype)
        if step.initial == "target" and self._target.checkpoint is not None:
            return self._target.checkpoint.read(step.target)
        layer = architecture.layer_of.get(step.target)
        operations = architecture.initial.get(step.target) or default_initial(
            layer.kind if layer else "other", step.role, spec.shape
        )
        return replay(operations, spec.shape, spec.dtype, self._seed, step.target)


def provenance(plan: Plan) -> dict[str, str]:
    """Return the metadata of a result: what it was made from, how, and by which versions."""
    try:
        tool = version("tli")
    except PackageNotFoundError:
        tool = "unknown"
    return {
        "format": "pt",
        "tli.version": tool,
        "tli.torch": torch.__version__,
        "tli.sources": "; ".join(f"{side.origin} {side.fingerprint}" for side in plan.sources),
        "tli.target": f"{plan.target.origin} {plan.target.fingerprint}",
        "tli.matcher": plan.matcher,
        "tli.method": plan.method,
        "tli.seed": str(plan.seed),
        "tli.plan": hashlib.sha256(plan.to_json().encode()).hexdigest(),
    }
