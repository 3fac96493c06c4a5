"""Numbers that are written in code: scales, caps, slopes, strides, shifts. No tensor holds them, and two networks with
equal tensors compute other things where these differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.last_layers import BOUNDED
from tli_cli.describe.tracing.operation_names import PLAIN, UNCOUNTED, UNEVEN, UNIFORM
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value
from tli_cli.noted import AS_HEAD, OFFSET, OUTPUTS, PICKED, Number

ALONG = ("dim", "dims", "dimension")
"""What operations call the dimensions along which they work."""


NEGLIGIBLE = 1e-3
"""What is added to keep a division or a root from zero is no number that counts."""


def note_numbers(rec: Recording, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
    """Note for the last layer applied which numbers the operation `name`, which makes `out`, takes beside what is
    known."""
    tensors = [a for a in args if isinstance(a, torch.Tensor)]
    if (
        name in UNCOUNTED
        or not tensors
        or not any(_is_followed(rec, t) for t in tensors)
        or keeps_size(name, args, out)
    ):
        return
    found = tuple(_plain(rec, a) for a in (*args, *kwargs.values()) if not _is_followed(rec, a))
    least = NEGLIGIBLE if name.rstrip("_") in ("add", "clamp_min", "clamp", "sub") else 0.0
    numbers = tuple(n for n in found if not (isinstance(n, (int, float)) and abs(n) < least) and n is not None)
    if name in ("add", "rsub", "sub") and numbers and (names := _parameters(rec, tensors)):
        rec.shift(tensors[0], out, names, numbers[0])
    elif name.startswith("upsample") and _parameters(rec, tensors):
        return  # a table of positions, whose size says all
    elif numbers or name == "gelu":  # which has two forms, the usual one without a word
        name = "exp" if name == "pow" and not _is_followed(rec, args[0]) else name  # to a base
        value = rec.first_made(tensors)
        if rec.serves_as_head and rec.maker(value) == rec.last:
            rec.note(value, (AS_HEAD,))
            rec.serves_as_head = False
        if name.startswith("upsample") and not isinstance(numbers[-1], float):
            numbers += _factors(args[0], out)
        rec.note(value, (name.rstrip("_"), *numbers))
    elif name.rstrip("_") in PLAIN and (name != "neg" or all(map(rec.is_whole, tensors))):
        rec.note(rec.first_made(tensors), (name.rstrip("_"),))


def keeps_size(name: str, args: Sequence[Any], out: Any) -> bool:
    """Tell whether places are resampled to as many as there are, where each is itself."""
    if "upsample" not in name or out.shape != args[0].shape:
        return False
    given = (n for a in args[1:] for n in (a if isinstance(a, (list, tuple)) else (a,)))
    return all(n == 1 for n in given if isinstance(n, float))


def _factors(given: torch.Tensor, made: torch.Tensor) -> tuple[float, ...]:
    """Return by how much each axis of places of what is enlarged to a size grows."""
    return tuple(new / old for old, new in zip(given.shape[2:], made.shape[2:], strict=True))


def constants_among(rec: Recording, tensors: Sequence[Any]) -> list[torch.Tensor]:
    """Return those of `tensors` that are made in code and differ from place to place."""
    return [
        t for t in tensors if rec.get(t) is None and t.numel() > 1 and not rec.is_uniform(t) and not _is_even(rec, t)
    ]


def _is_even(rec: Recording, tensor: torch.Tensor) -> bool:
    """Tell whether all values of a constant are known to be one, such as those of a mask that bars nothing."""
    values = rec.constants.of(tensor)
    return values is not None and bool((values == values.flatten()[0]).all())


def note_along(rec: Recording, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Note along which axes of a value the operation `func`, of which nothing else is known, works: it mixes or moves
    their indices by where they stand, or by their values."""
    value = rec.get(args[0]) if args else None
    if value is None or value.node < 0:
        return
    for at, argument in enumerate(func._schema.arguments):
        if argument.name in ALONG:
            taken = args[at] if at < len(args) else kwargs.get(argument.name, argument.default_value)
            dims = [taken] if isinstance(taken, int) else taken or range(len(value.dims))
            rec.coded += [value.dims[d] for d in dims if -len(value.dims) <= d < len(value.dims)]
    if "pool" in (name := func._overloadpacket.__name__):
        note_windows(rec, name, args)


def note_windows(rec: Recording, name: str, args: Sequence[Any]) -> None:
    """Note along which axes of a value the windows of the pool `name` hold several indices."""
    value = rec.get(args[0])
    if value is None or value.node < 0:
        return
    sides = next((a for a in args[1:] if isinstance(a, (list, tuple))), ())
    first = len(value.dims) - len(sides)
    whole = args[0].shape[first:] if "adaptive" in name else (1,) * len(sides)
    rec.coded += [value.dims[first + i] for i, side in enumerate(sides) if side != whole[i]]


def note_constants(rec: Recording, tensors: Sequence[Any], out: torch.Tensor) -> None:
    """Note along which axes of the known tensors among `tensors` others, which are made in code, differ."""
    constants = constants_among(rec, tensors)
    for d, size in enumerate(out.shape):
        behind = out.ndim - d
        varied = [t for t in constants if t.ndim >= behind and t.shape[-behind] == size > 1 and t.stride(-behind)]
        known = [(t, v) for t in tensors if (v := rec.get(t)) is not None and t.ndim >= behind]
        if varied:
            rec.coded += [v.dims[-behind] for t, v in known if t.shape[-behind] == size]


def note_uniform(rec: Recording, name: str, args: Sequence[Any], out: Any) -> None:
    """Note that `out` holds the same number everywhere, if it does."""
    tensors = [a for a in args if isinstance(a, torch.Tensor)]
    even = bool(tensors) and all(rec.is_uniform(t) for t in tensors) and name.rstrip("_") not in UNEVEN
    if name.endswith("_") and tensors:
        rec.note_write(tensors[0], even)
    if name in UNIFORM or even:
        for made in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(made, torch.Tensor) and rec.get(made) is None:
                rec.put_uniform(made)
    same = name in ("detach", "alias") and rec.blank_around(tensors[0]) is tensors[0]
    if (name in UNIFORM or "empty" in name or same) and isinstance(out, torch.Tensor) and rec.get(out) is None:
        rec.note_blank(out)


def note_picked(rec: Recording, value: Value, dim: int, index: int, size: int) -> None:
    """Note that the first or the last of all places is taken alone, such as a class token."""
    if value.node >= 0 and are_places(rec, value.dims[dim]) and size > 1 and index in (0, size - 1):
        rec.note(value, (PICKED, "last" if index else "first"))


def note_every(rec: Recording, value: Value, dim: int, start: int, step: int) -> int:
    """Note that every `step`-th place is taken, from another than the first on; return which number says so, or -1."""
    if value.node < 0 or not start or not are_places(rec, value.dims[dim]):
        return -1
    return rec.note(value, (PICKED, "every", start, step))


def note_tiled(rec: Recording, value: Value, dim: int, copies: int) -> None:
    """Note that places are repeated one map beside the other, and not each one beside itself."""
    if value.node >= 0 and copies > 1 and are_places(rec, value.dims[dim]):
        rec.note(value, ("tiled", dim - len(value.dims), copies))


def are_places(rec: Recording, tree: AxisTree) -> bool:
    """Tell whether a dimension runs over places, tokens that stand before or behind them included."""
    kinds = rec.table.kinds(tree)
    return "grid" in kinds and kinds <= {"grid", "choices"}


def note_outputs(rec: Recording, outputs: Sequence[Value]) -> None:
    """Note for the layers that outputs come from, between bounds or not, at how many places of a sample these are."""
    for value in outputs:
        places = [rec.table.size(tree) for tree in value.dims if are_places(rec, tree)]
        node = value.node
        while rec.nodes[node].op in BOUNDED:
            node = rec.nodes[node].inputs[0]
        if (layer := rec.layer_behind(node)) >= 0:
            rec.outputs[layer].append(prod(places))


def numbers_after(rec: Recording) -> list[tuple[Number, ...]]:
    """Return for each layer the numbers noted after it, once if they are the same each time that it is run; those
    before the first stand with it."""
    found: list[list[Number]] = [[] for _ in rec.layers]
    for i, (place, number) in enumerate(rec.numbers):
        if found and i not in rec.forgotten:
            found[max(place, 0)].append(number)
    runs = _runs(rec)
    found = [_of_one_run(numbers, runs[place]) for place, numbers in enumerate(found)]
    offsets = [[(OFFSET, rec.offsets[n]) for n in layer.roles if n in rec.offsets] for layer in rec.layers]
    outputs = [[(OUTPUTS, *sorted(rec.outputs[i]))] if i in rec.outputs else [] for i in range(len(rec.layers))]
    return [(*numbers, *own, *held) for numbers, own, held in zip(found, offsets, outputs, strict=True)]


def _runs(rec: Recording) -> Counter[int]:
    """Return how often each layer is run; slices of its weight, such as one for queries and one for keys and values,
    are run side by side."""
    starts = {rec.nodes[i].inputs[0]: rec.nodes[i].index for i in rec.slices}
    runs = Counter((node.layer, starts.get(i, -1)) for i, node in enumerate(rec.nodes))
    found = Counter[int]()
    for (layer, _), count in runs.items():
        found[layer] = max(found[layer], count)
    return found


def constants_after(rec: Recording) -> list[tuple[Number, ...]]:
    """Return for each layer which constants act after it, each once; those before the first stand with it."""
    found: list[dict[Number, None]] = [{} for _ in rec.layers]
    for place, number in rec.acting if found else ():
        found[max(place, 0)][number] = None
    return [tuple(numbers) for numbers in found]


def _of_one_run(numbers: list[Number], runs: int) -> list[Number]:
    """Return the first of `runs` equal parts of `numbers`, or all if there are no such parts."""
    once, over = divmod(len(numbers), max(runs, 1))
    return numbers[:once] if not over and numbers == numbers[:once] * runs else numbers


def _parameters(rec: Recording, tensors: Sequence[torch.Tensor]) -> tuple[str, ...]:
    """Return the names of the parameters of which alone `tensors` are made; none if they depend on an input."""
    values = [value for tensor in tensors if (value := rec.get(tensor)) is not None]
    return tuple(name for value in values for name in value.names) if all(v.node < 0 for v in values) else ()


def _is_followed(rec: Recording, item: Any) -> bool:
    return isinstance(item, torch.Tensor) and item.is_floating_point() and rec.get(item) is not None


def _plain(rec: Recording, item: Any) -> Any:
    """Return a number, a word, or a run of numbers; None for anything else, and for tensors without values."""
    if isinstance(item, torch.Tensor):
        return float(item) if item.ndim == 0 and not item.is_meta and rec.get(item) is None else None
    if isinstance(item, (list, tuple)):
        return tuple(item) if item and all(isinstance(n, (int, float)) for n in item) else None
    return item if isinstance(item, (int, float, str)) else None
