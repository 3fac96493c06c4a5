"""Low-rank adapters, taken into the weights of their base model (LoRA, arXiv 2106.09685)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

from tli_cli.checkpoints.checkpoint import Checkpoint, Read, ReaderOf, holding
from tli_cli.checkpoints.layouts.low_rank_names import (
    ORIGINAL,
    SAVED_ALONE,
    BaseNames,
    component,
    factored_paths,
    part_of,
)
from tli_cli.describe.spelling import enclosing
from tli_cli.errors import CheckpointError, join_problems

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
NAME = re.compile(r"[\w.]+")

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Change:
    """What an adapter makes of one weight: `scale * up @ down` is added; in DoRA (arXiv 2402.09353) the rows of the sum
    then get the `length` that is given for each. `turned` weights are `(in, out)`. Where the adapter holds an `alpha`,
    the scale is that times `scale`."""

    down: str
    up: str
    scale: float
    turned: bool
    length: str = ""
    alpha: str = ""


def merged(base: Checkpoint, adapter: Checkpoint, config: Mapping[str, Any] | None) -> Checkpoint:
    """Return `base` with what `adapter`, whose `adapter_config.json` holds `config`, makes of its weights.

    Without one the adapter itself tells its scale: by an alpha for each layer, or as diffusers does, that all are 1.

    Raises:
        CheckpointError: it is an adapter of another kind, or of another model.
    """
    _require_lora(adapter, config)
    names = BaseNames(base.clean_by_stored, adapter.stored_names.values())
    parts, whole, strange = _parts(base, adapter, names)
    first = {spec.name: spec.tied_to or spec.name for spec in base.tensors}
    changes = {first[name]: change for name, change in _changes(base, adapter, names, parts, config).items()}
    given = {first[name]: own for name, own in whole.items()}
    stored = base.stored_names
    made = {
        stored[name]: partial(_changed, adapter, name, given.get(shared, ""), changes.get(shared))
        for name, shared in first.items()
        if shared in changes or shared in given
    }
    tensors = (replace(s, name=stored[s.name], tied_to=s.tied_to and stored[s.tied_to]) for s in base.tensors)
    reader = ReaderOf(base, tensors, base.clean_by_stored, made, base.layouts)
    reader.ignored = tuple(f"{name}: its base model has no such tensor" for name in strange)
    return Checkpoint(base.path, reader, base.config, {spec.name for spec in base.tensors})


def _require_lora(adapter: Checkpoint, config: Mapping[str, Any] | None) -> None:
    kind, alpha = (config or {}).get("peft_type", "LORA"), (config or {}).get("lora_alpha")
    if config is not None and (kind != "LORA" or not isinstance(alpha, (int, float)) or not alpha):
        raise CheckpointError(
            f"{adapter.path}: expected a LoRA with its lora_alpha in {CONFIG}, found {str(kind)[:40]}; where peft can, "
            "PeftModel.from_pretrained(BASE, ADAPTER).merge_and_unload().save_pretrained(OUT) makes a model of it"
        )


def _changed(adapter: Checkpoint, name: str, own: str, change: Change | None, read: Read) -> torch.Tensor:
    """Return the base's tensor `name`, or the adapter's `own` in its place, with what is added, in the base's type."""
    import torch

    tensor = adapter.read(own) if own else read(name)
    if change is None:
        return tensor
    working = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    down, up = (adapter.read(name).to(working).flatten(1) for name in (change.down, change.up))
    alpha = float(adapter.read(change.alpha)) if change.alpha else 1.0
    added = up @ down * (alpha * change.scale)
    whole = tensor.to(working) + (added.t() if change.turned else added).reshape(tensor.shape)
    if change.length:
        rows = (whole.t() if change.turned else whole).flatten(1)
        length = adapter.read(change.length).to(working).reshape(-1, 1)
        rows = rows * (length / rows.norm(dim=1, keepdim=True))
        whole = (rows.t() if change.turned else rows).reshape(tensor.shape)
    return whole.to(tensor.dtype)


def _changes(
    base: Checkpoint,
    adapter: Checkpoint,
    names: BaseNames,
    parts: Mapping[str, Mapping[str, str]],
    config: Mapping[str, Any] | None,
) -> dict[str, Change]:
    """Return what becomes of the weights of `base`, by their clean names."""
    shapes = {spec.name: spec.shape for spec in base.tensors}
    sizes = {spec.name: spec.shape for spec in adapter.tensors}
    weights = {path: base.clean_by_stored.get(names.of(f"{path}.weight"), "") for path in parts}
    strange = [f"{path}: no such layer in {base.path}" for path, name in weights.items() if not name]
    strange += [f"{path}: expected both factors" for path, held in parts.items() if not {"A", "B"} <= held.keys()]
    if strange:
        raise CheckpointError(join_problems(f"{adapter.path} cannot be merged into {base.path}:", strange))
    strange = [line for path, held in parts.items() for line in _unlike(weights[path], held, shapes, sizes)]
    if strange:
        raise CheckpointError(join_problems(f"{adapter.path} does not fit {base.path}:", strange))
    found = {weights[path]: _change(path, held, sizes, config) for path, held in parts.items()}
    made = {n: (sizes[c.up][0], sizes[c.down][1]) for n, c in found.items() if not c.turned and len(shapes[n]) == 2}
    turned = bool((config or {}).get("fan_in_fan_out")) or any(
        shapes[name] != product for name, product in made.items()
    )
    return found | {name: replace(found[name], turned=turned) for name in made}


def _change(path: str, held: Mapping[str, str], sizes: Shapes, config: Mapping[str, Any] | None) -> Change:
    """Return what becomes of one layer's weight; a table of embeddings has its factors turned."""
    rank = sizes[held["A"]][0]
    change = Change(held["A"], held["B"], 1.0, "embedding" in held["A"], held.get("magnitude", ""))
    if config is None:
        return replace(change, scale=1 / rank, alpha=held["alpha"]) if "alpha" in held else change
    power = _of_path(config.get("alpha_pattern"), path, config["lora_alpha"])
    return replace(change, scale=power / (sqrt(rank) if config.get("use_rslora") else rank))


def _parts(
    base: Checkpoint, adapter: Checkpoint, names: BaseNames
) -> tuple[dict[str, dict[str, str]], dict[str, str], list[str]]:
    """Return the names of each layer's factors, by its path and what they are, those of the tensors that stand for one
    of the base's, and those that do not.

    Raises:
        CheckpointError: a layer has several adapters or parts of another kind, or a tensor has another shape than the
            base's.
    """
    parts: dict[str, dict[str, str]] = {}
    whole: dict[str, str] = {}
    left, problems = [], []
    shapes = {stored: spec.shape for spec in base.tensors for stored in (base.stored_names[spec.name],)}
    foreign = names.foreign(list(adapter.stored_names.values()))
    factored = factored_paths(adapter.stored_names.values())
    for spec in adapter.tensors:
        stored = adapter.stored_names[spec.name]
        if component(stored) in foreign:
            left.append(stored)
        elif (part := part_of(stored)) and part.path in factored:
            held = parts.setdefault(part.path, {})
            problems += [f"{stored}: a second adapter of this layer"] if part.what in held else []
            held[part.what] = spec.name
        elif name := names.of(stored):
            whole[base.clean_by_stored[name]] = spec.name
            fits = shapes[name] == spec.shape
            problems += [] if fits else [f"{stored} {list(spec.shape)}: {list(shapes[name])} in its base model"]
        else:
            left.append(stored)
    problems += [f"{name}: no part of a LoRA" for name in left if any(path in parts for path in enclosing(name)[:-1])]
    problems += [] if parts else [f"{name}: no part of a LoRA" for name in left[:1]]
    if problems:
        raise CheckpointError(join_problems(f"{adapter.path} cannot be merged into {base.path}:", problems))
    return parts, whole, left


def scaled_elsewhere(adapter: Checkpoint) -> bool:
    """Tell whether an adapter has layers whose scale is not in its file."""
    known = [part for stored in adapter.stored_names.values() if (part := part_of(stored))]
    told = {part.path for part in known if part.what == "alpha"}
    return any(part.scaled and part.path not in told for part in known)


def scaled_within(adapter: Checkpoint) -> bool:
    """Tell whether each layer has its own scale in an adapter's file."""
    names = list(adapter.stored_names.values())
    told = {part.path for name in names if (part := part_of(name)) and part.what == "alpha"}
    return bool(told) and factored_paths(names) <= told


def config_within(adapter: Checkpoint) -> Mapping[str, Any] | None:
    """Return the configuration of a LoRA that diffusers keeps in the notes of a file, of the model that most of its
    tensors are for; None where it has none."""
    try:
        noted = json.loads(adapter.metadata.get("lora_adapter_metadata", "null"))
    except (ValueError, RecursionError):
        return None
    begins = Counter(component(stored) for stored in adapter.stored_names.values())
    begin = begins.most_common(1)[0][0]
    own = {key.removeprefix(begin): value for key, value in noted.items()} if isinstance(noted, dict) else {}
    return own if "lora_alpha" in own else None


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


def apart(checkpoint: Checkpoint, factors: Collection[str]) -> tuple[Checkpoint, Checkpoint]:
    """Return the base model in `checkpoint` and its adapter: the tensors `factors`, and the layers that were trained
    whole beside their originals."""
    own = {name for spec in checkpoint.tensors if (name := spec.name) in factors or SAVED_ALONE.search(name)}
    base = {ORIGINAL.sub(".", spec.name): spec.name for spec in checkpoint.tensors if spec.name not in own}
    return holding(checkpoint, base), holding(checkpoint, {name: name for name in own})
