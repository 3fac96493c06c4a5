"""Low-rank adapters of peft, taken into the weights of their base model (LoRA, arXiv 2106.09685)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

from tli_cli.checkpoints.checkpoint import Checkpoint, ReaderOf
from tli_cli.checkpoints.files import FileRange
from tli_cli.describe.prefixes import changed, prefix_change
from tli_cli.errors import CheckpointError, join_problems

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
FACTOR = re.compile(
    r"(?P<path>.+)\.(lora_(?P<linear>[AB])(\.\w+)?\.weight|lora_embedding_(?P<table>[AB])(\.\w+)?"
    r"|lora_(?P<length>magnitude)_vector(\.\w+)?(\.weight)?)"
)
"""peft's names, `peft/tuners/lora/layer.py`: with the adapter's own name in a state dict, without it in files."""
NAME = re.compile(r"[\w.]+")
SAVED = re.compile(r"\.(base_layer|modules_to_save(\.\w+)?)\.(?=\w+$)")
"""Where a layer stands whole, within what peft puts around it."""
WRAPPED = "base_model.model."

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Change:
    """What an adapter makes of one weight: `scale * up @ down` is added; in DoRA (arXiv 2402.09353) the rows of the sum
    then get the `length` that is given for each. `turned` weights are `(in, out)`."""

    down: str
    up: str
    scale: float
    turned: bool
    length: str = ""


def merged(base: Checkpoint, adapter: Checkpoint, config: Mapping[str, Any]) -> Checkpoint:
    """Return `base` with what `adapter`, whose `adapter_config.json` holds `config`, makes of its weights.

    Raises:
        CheckpointError: it is an adapter of another kind, or of another model.
    """
    parts, whole, strange = _parts(base, adapter)
    reader = MergedReader(base, adapter, _changes(base, adapter, parts, config), whole)
    reader.ignored = tuple(f"{name}: its base model has no such tensor" for name in strange)
    return Checkpoint(base.path, reader, base.config, {spec.name for spec in base.tensors})


class MergedReader(ReaderOf):
    """The tensors of `base`, of which those that an adapter changes are made when they are read, and those that it
    holds `whole` are its own."""

    def __init__(
        self, base: Checkpoint, adapter: Checkpoint, changes: Mapping[str, Change], whole: Mapping[str, str]
    ) -> None:
        super().__init__(base)
        self.layouts, self._adapter = base.layouts, adapter
        self._clean = {stored: clean for clean, stored in base.stored_names.items()}
        self.tensors = tuple(
            replace(s, name=base.stored_names[s.name], tied_to=s.tied_to and base.stored_names[s.tied_to])
            for s in base.tensors
        )
        shared = {spec.name: spec.tied_to or spec.name for spec in base.tensors}
        added = {shared[name]: change for name, change in changes.items()}
        given = {shared[name]: own for name, own in whole.items()}
        self._changes = {name: added[first] for name, first in shared.items() if first in added}
        self._whole = {name: given[first] for name, first in shared.items() if first in given}

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor stored as `name` with what the adapter adds, in the base's type, on the CPU."""
        clean = self._clean[name]
        own = self._whole.get(clean)
        tensor = self._checkpoint.read(clean) if own is None else self._adapter.read(own)
        change = self._changes.get(clean)
        return tensor if change is None else self._changed(tensor, change)

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` stand, None where they are made."""
        clean = self._clean[name]
        return None if clean in self._changes or clean in self._whole else self._checkpoint.file_range(clean)

    def _changed(self, tensor: torch.Tensor, change: Change) -> torch.Tensor:
        import torch

        working = torch.float64 if tensor.dtype == torch.float64 else torch.float32
        down, up = (self._adapter.read(name).to(working).flatten(1) for name in (change.down, change.up))
        added = up @ down * change.scale
        whole = tensor.to(working) + (added.t() if change.turned else added).reshape(tensor.shape)
        if change.length:
            rows = (whole.t() if change.turned else whole).flatten(1)
            length = self._adapter.read(change.length).to(working).reshape(-1, 1)
            rows = rows * (length / rows.norm(dim=1, keepdim=True))
            whole = (rows.t() if change.turned else rows).reshape(tensor.shape)
        return whole.to(tensor.dtype)


def _changes(
    base: Checkpoint, adapter: Checkpoint, parts: Mapping[str, Mapping[str, str]], config: Mapping[str, Any]
) -> dict[str, Change]:
    """Return what becomes of the weights of `base`, by their clean names."""
    kind, alpha = config.get("peft_type", "LORA"), config.get("lora_alpha")
    if kind != "LORA" or not isinstance(alpha, (int, float)) or not alpha:
        raise CheckpointError(
            f"{adapter.path}: expected a LoRA with its lora_alpha in {CONFIG}, found {str(kind)[:40]}"
        )
    shapes = {spec.name: spec.shape for spec in base.tensors}
    sizes = {spec.name: spec.shape for spec in adapter.tensors}
    names = _Names(base, adapter)
    weights = {path: names.of(f"{path}.weight") for path in parts}
    strange = [f"{path}: no such layer in {base.path}" for path, name in weights.items() if not name]
    strange += [f"{path}: expected both factors" for path, held in parts.items() if not {"A", "B"} <= held.keys()]
    if strange:
        raise CheckpointError(join_problems(f"{adapter.path} cannot be merged into {base.path}:", strange))
    strange = [line for path, held in parts.items() for line in _unlike(weights[path], held, shapes, sizes)]
    if strange:
        raise CheckpointError(join_problems(f"{adapter.path} does not fit {base.path}:", strange))
    found = {weights[path]: _change(path, held, sizes, config, alpha) for path, held in parts.items()}
    made = {n: (sizes[c.up][0], sizes[c.down][1]) for n, c in found.items() if not c.turned and len(shapes[n]) == 2}
    turned = bool(config.get("fan_in_fan_out")) or any(shapes[name] != product for name, product in made.items())
    return found | {name: replace(found[name], turned=turned) for name in made}


def _change(path: str, held: Mapping[str, str], sizes: Shapes, config: Mapping[str, Any], alpha: float) -> Change:
    """Return what becomes of one layer's weight; a table of embeddings has its factors turned."""
    rank = sizes[held["A"]][0]
    power = _of_path(config.get("alpha_pattern"), path, alpha)
    scale = power / (sqrt(rank) if config.get("use_rslora") else rank)
    return Change(held["A"], held["B"], scale, "embedding" in held["A"], held.get("magnitude", ""))


def _parts(base: Checkpoint, adapter: Checkpoint) -> tuple[dict[str, dict[str, str]], dict[str, str], list[str]]:
    """Return the names of each layer's factors, by its path and what they are, those of the tensors that stand for one
    of the base's, and those that do not.

    Raises:
        CheckpointError: a layer has several adapters, or a tensor has another shape than the base's.
    """
    parts: dict[str, dict[str, str]] = {}
    whole: dict[str, str] = {}
    left, problems = [], []
    shapes, names = {spec.name: spec.shape for spec in base.tensors}, _Names(base, adapter)
    for spec in adapter.tensors:
        stored = adapter.stored_names[spec.name]
        if match := FACTOR.fullmatch(stored):
            held = parts.setdefault(match["path"].removeprefix(WRAPPED), {})
            what = match["linear"] or match["table"] or match["length"]
            problems += [f"{stored}: a second adapter of this layer"] if what in held else []
            held[what] = spec.name
        elif name := names.of(stored):
            whole[name] = spec.name
            fits = shapes[name] == spec.shape
            problems += [] if fits else [f"{stored} {list(spec.shape)}: {list(shapes[name])} in its base model"]
        else:
            left.append(stored)
    if problems:
        raise CheckpointError(join_problems(f"{adapter.path} cannot be merged into {base.path}:", problems))
    return parts, whole, left


class _Names:
    """The names of the tensors of a base model that stands in `base` alone, or within or around others there."""

    def __init__(self, base: Checkpoint, adapter: Checkpoint) -> None:
        self._clean = {stored: clean for clean, stored in base.stored_names.items()}
        self._change = prefix_change([_of_base(stored) for stored in adapter.stored_names.values()], list(self._clean))

    def of(self, stored: str) -> str:
        """Return the base's name for what the adapter stores as `stored`, of a factor for its weight; "" if it has
        none."""
        return self._clean.get(changed(_of_base(stored), self._change), "")


def _of_base(stored: str) -> str:
    match = FACTOR.fullmatch(stored)
    return SAVED.sub(".", f"{match['path']}.weight" if match else stored).removeprefix(WRAPPED)


def _of_path(patterns: object, path: str, default: float) -> float:
    """Return the number for a layer: that of the first name in `patterns` that its path ends with.

    Raises:
        CheckpointError: a pattern is more than a name, which peft allows.
    """
    for pattern, value in patterns.items() if isinstance(patterns, Mapping) else ():
        name = str(pattern).removeprefix("^").removesuffix("$").replace("\\.", ".")
        if not NAME.fullmatch(name) or not isinstance(value, (int, float)):
            raise CheckpointError(
                f"{CONFIG}: expected a module's name and a number in alpha_pattern, found {name[:60]!a}"
            )
        if f".{path}".endswith(f".{name}"):
            return value
    return default


def _unlike(name: str, held: Mapping[str, str], shapes: Shapes, sizes: Shapes) -> list[str]:
    """Return a line where the product of two factors has not the shape of the weight, turned or not."""
    down, up, shape = sizes[held["A"]], sizes[held["B"]], shapes[name]
    flat = min(len(down), len(up), len(shape)) > 1
    fits = flat and down[0] == up[1] > 0 and prod(up[2:]) == 1
    fits = fits and (shape == (up[0], *down[1:]) or shape == (down[1], up[0]))
    lengths = prod(sizes[held["magnitude"]]) if "magnitude" in held else up[:1] and up[0]
    if fits and lengths == up[0] and not ("magnitude" in held and "embedding" in held["A"]):
        return []
    return [f"{name} {list(shape)}: found factors {list(up)} and {list(down)}"]
