"""An architecture under other names, and names as people say them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import takewhile

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.blocks import with_blocks
from tli_cli.describe.vocabulary import canonical_role

MANY = 3
"""How many names must begin with the same for that to stand for nothing in them."""
NEARLY_ALL = 0.9
"""The share of the names that a module must hold for its own name to stand for nothing in them."""
NUMBERED_START = re.compile(r"(?P<block>(?P<word>[a-z]+)_?\d+[a-z]?(_(block|unit)_?\d+)?)_(?=[a-z0-9])", re.I)
"""How flat names of a block's layers begin, as in Keras: `block2a_`, `conv3_block1_`; in MXNet
`stage1_unit2_`."""
FLAT = re.compile(r"(arg:|aux:)?(?P<layer>\w+)_(?P<role>weight|bias|gamma|beta|(moving|running)_(mean|var(iance)?))")
"""A name without a dot that ends in what a tensor is, as in MXNet."""

WORDED = re.compile(r"(?P<word>attn|ffn|mlp)_(?P<rest>\w+)", re.I)
"""The name of a layer that says which module it would stand in, as in GGUF: `attn_q`, `ffn_down`."""
WORDED_ROLES = {"q", "k", "v", "qkv", "o", "q_norm", "k_norm", "gate", "up", "gate_up", "fc1", "fc2"}

NUMBERED_LAYER = re.compile(r"(?P<path>(.*\.)?)(?P<word>[a-z]\w*?)(?P<number>\d+)\.(?P<last>\w+)", re.I)
"""The name of a tensor of a layer that is one of several: `LayerNorm_0.scale`."""


def spoken(names: Sequence[str]) -> dict[str, str]:
    """Return each name without what stands for nothing in it: modules that hold nearly everything, the underscores
    before its parts, and what all names in one module begin with up to a number or an underscore. Flat names of blocks
    get the dot that they lack, and names with capitals within their underscores. Layers that are counted from zero in
    all modules alike are counted from one, as roles are.

    A name that would be another's stays as it is.

    >>> spoken(["_blocks.0._bn1.weight", "enc.e1_conv", "enc.e1_norm", "enc.e1_out"])["enc.e1_norm"]
    'enc.norm'
    """
    inner = _with_norms_whole(_inner(_with_dots(list(names))))
    held: dict[str, set[str]] = {}
    for name in inner:
        path = ""
        for part in name.split("."):
            held.setdefault(path, set()).add(part)
            path = f"{path}.{part}"
    starts = {path: _shared_start(parts, path.rpartition(".")[2]) for path, parts in held.items()}
    flat = {f"{path}.{part}": cut for path, parts in held.items() for part, cut in _numbered_starts(parts).items()}
    plain = counted_from_one([_said(name, starts, flat) for name in inner])
    return dict(zip(names, plain if len(set(plain)) == len(plain) else names, strict=True))


def _inner(names: list[str]) -> list[str]:
    """Return the names without the modules that hold nearly all of them and are no list."""
    held = dict(enumerate(names))
    while held:
        modules = Counter(name.partition(".")[0] for name in held.values())
        module = max(modules, key=modules.__getitem__)
        inside = {i: name.removeprefix(f"{module}.") for i, name in held.items() if name.startswith(f"{module}.")}
        is_module = all("." in rest and not rest[0].isdecimal() for rest in inside.values())
        if len(inside) < max(modules[module], NEARLY_ALL * len(names)) or not is_module:
            break
        held = inside
        names = [inside.get(i, name) for i, name in enumerate(names)]
    return names


def _with_dots(names: list[str]) -> list[str]:
    """Return names that all are flat with a dot before what a tensor is, and without MXNet's kinds of tensors."""
    found = [FLAT.fullmatch(name) for name in names] if not any("." in name for name in names) else [None]
    return [f"{match['layer']}.{match['role']}" for match in found if match] if all(found) else names


def _with_norms_whole(names: list[str]) -> list[str]:
    """Return the names with norms in one of which the statistics are a layer and the scale another, as Caffe has them,
    within the layer that they are named for: `bn2a_x` and `scale2a_x` within `res2a_x`."""
    modules = {name.rpartition(".")[0] for name in names}
    rests = {module[2:] for module in modules if module.startswith("bn") and f"scale{module[2:]}" in modules}
    homes = {
        rest: module
        for rest in rests
        for module in modules
        if module.endswith(rest.lstrip("_")) and not module.startswith(("bn", "scale"))
    }
    if not homes:
        return names

    def whole(name: str) -> str:
        module, _, last = name.rpartition(".")
        rest = re.sub("^(bn|scale)", "", module)
        return f"{homes[rest]}.norm.{last}" if rest != module and rest in homes else name

    return [whole(name) for name in names]


def _said(name: str, starts: Mapping[str, int], flat: Mapping[str, int]) -> str:
    path = ""
    kept: list[str] = []
    for part in name.split("."):
        at = flat.get(f"{path}.{part}", 0)
        kept += [part[:at], part[at + 1 :]] if at else _housed(part[starts[path] :].lstrip("_") or part)
        path = f"{path}.{part}"
    return ".".join(kept)


@lru_cache(maxsize=4096)
def _housed(part: str) -> tuple[str, ...]:
    """Return a name with underscores between its words, after the module that it begins with, if it begins so."""
    part = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", part).lower() if part[:1].islower() else part
    match = WORDED.fullmatch(part)
    known = match is not None and canonical_role(f"0.{match['word']}.{match['rest']}") in WORDED_ROLES
    return (match["word"], match["rest"]) if match is not None and known else (part,)


def counted_from_one(names: Sequence[str]) -> list[str]:
    """Return the names with layers that are counted from zero counted from one, as roles are: `norm_0` and `norm_1` of
    one module, where no module that is named alike counts them otherwise, and each is known so."""
    numbers: dict[tuple[str, str], dict[str, set[int]]] = {}
    ending = (name for name in names if name.rpartition(".")[0][-1:].isdecimal())
    held = {name: match for name in ending if (match := NUMBERED_LAYER.fullmatch(name))}
    for match in held.values():
        family = re.sub(r"\d+", "#", match["path"]), match["word"]
        numbers.setdefault(family, {}).setdefault(match["path"], set()).add(int(match["number"]))
    from_zero = {
        family
        for family, found in numbers.items()
        if all(len(own) > 1 and own == set(range(len(own))) for own in found.values())
        and all(canonical_role(f"0.{family[1]}{number + 1}") for number in set().union(*found.values()))
    }

    def counted(name: str) -> str:
        match = held.get(name)
        if match is None or (re.sub(r"\d+", "#", match["path"]), match["word"]) not in from_zero:
            return name
        return f"{match['path']}{match['word']}{int(match['number']) + 1}.{match['last']}"

    return [counted(name) for name in names]


def _numbered_starts(parts: Collection[str]) -> dict[str, int]:
    """Return where the names of blocks end that flat names begin with: `block2a_dwconv`, of several such blocks."""
    found = {part: match for part in parts if (match := NUMBERED_START.match(part))} if len(parts) >= MANY else {}
    blocks: dict[str, set[str]] = {}
    for match in found.values():
        blocks.setdefault(match["word"], set()).add(match["block"])
    of_block = Counter(match["block"] for match in found.values())
    return {
        part: match.end("block")
        for part, match in found.items()
        if len(blocks[match["word"]]) > 1 and of_block[match["block"]] >= MANY
    }


def _shared_start(parts: Collection[str], holder: str) -> int:
    """Return how many letters all of `parts` begin with that say nothing: the name of what holds them, or all up to a
    number or an underscore, before a letter."""
    if len(parts) < MANY:
        return 0
    letters = takewhile(lambda found: len(set(found)) == 1, zip(*parts, strict=False))
    shared = "".join(found[0] for found in letters)
    start = re.match(r"(\w*[\d_])?", shared)
    length = len(holder) if holder and shared.startswith(holder) else len(start[0]) if start else 0
    return length if all(part[length : length + 1].isalpha() for part in parts) else 0


def renamed(architecture: Architecture, names: Mapping[str, str]) -> Architecture:
    """Return `architecture` with its tensors under other names, its layers' paths and blocks as these say."""
    layers = with_blocks([_renamed_layer(layer, names) for layer in architecture.layers])
    return _called(architecture, layers, lambda name: names.get(name, name))


def with_prefix(architecture: Architecture, prefix: str) -> Architecture:
    """Return `architecture` with `prefix` before every name and path."""

    def longer(path: str) -> str:
        return f"{prefix}{path}".rstrip(".")

    layers = [
        replace(layer, path=longer(layer.path), block=longer(layer.block), stage=longer(layer.stage))
        for layer in architecture.layers
    ]
    return _called(architecture, layers, longer) if prefix else architecture


def _called(architecture: Architecture, layers: Sequence[Layer], name: Callable[[str], str]) -> Architecture:
    """Return `architecture` with `layers`, and each tensor under the name that `name` gives for its own."""
    return replace(
        architecture,
        tensors=tuple(
            replace(t, name=name(t.name), tied_to=t.tied_to and name(t.tied_to)) for t in architecture.tensors
        ),
        layers=tuple(
            replace(layer, tensors=tuple((role, name(own)) for role, own in layer.tensors)) for layer in layers
        ),
        axes={name(own): axes for own, axes in architecture.axes.items()},
        initial={name(own): value for own, value in architecture.initial.items()},
    )


def _renamed_layer(layer: Layer, names: Mapping[str, str]) -> Layer:
    path = layer.path
    for _, name in layer.tensors:
        new, rest = names.get(name, name), name.removeprefix(layer.path)
        if name.startswith(layer.path) and new.endswith(rest):
            path = new.removesuffix(rest)
            break
    return replace(layer, path=path)
