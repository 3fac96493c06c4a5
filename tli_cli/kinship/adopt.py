"""Describe a bare checkpoint as its kin is: with the known network's layers, couplings and graph, in its own sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from tli_cli.architecture import LINEAR, Architecture, Axis, Layer, Node, Space, TensorSpec
from tli_cli.describe.blocks import with_blocks
from tli_cli.describe.modules import by_modules
from tli_cli.describe.normed import WITH_LENGTH
from tli_cli.describe.spaces import leaves
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.grouping import gathered
from tli_cli.kinship.naming import LIKE, Likeness, in_its_order, templates, with_tables
from tli_cli.kinship.own_sizes import own_spaces
from tli_cli.kinship.repeats import Member, Units, copies_of, graph_of, in_order
from tli_cli.matching.graph_roles import graph_roles
from tli_cli.matching.parts import PART_ROLES
from tli_cli.matching.undirected import spelled_row, undirected_blocks
from tli_cli.matching.units import positions_of, units_of
from tli_cli.noted import OFFSET

NORMS = ("norm1", "norm2")
UNKNOWN = ("file", "inferred", "definition")
"""Where the order of layers comes from in a description by names alone."""


def as_kin(bare: Architecture, known: Architecture, head_width: int = 0) -> Architecture | None:
    """Return `bare`, described by names alone, as `known` is described; None if it is no checkpoint of that class.

    It is one if its tensors have the names of `known`, whatever their sizes, and however often blocks are repeated; or
    other names, in the order in which `known` is defined, and its sizes.
    `head_width` is the width of an attention head where that is known: shapes do not tell it.
    """
    if bare.graph or not known.graph or bare.order_from not in UNKNOWN:
        return None
    named, order_from = _named(bare, known)
    apart = _no_longer_tied(bare, known, named)
    like = {name: found for name, found in named.items() if name not in apart}
    if not like:
        return None
    apart |= _heads_besides(bare, known, named)
    members = _members(known, like)
    spaces, axes, guessed, like_spaces = own_spaces(bare, known, members, head_width)
    fits = _is_coherent(members, known, axes) and not _repeats_what_it_lacks(members, known)
    graph = graph_of(known, members) if fits else None
    if graph is None:
        return None
    beside = _beside(bare, like)
    layers = [_layer(member, known, bare, axes, spaces, beside) for member in members]
    layers += [layer for layer in bare.layers if all(name not in like for _, name in layer.tensors)]
    return replace(
        bare,
        tensors=tuple(_worked(bare, known, like)),
        layers=tuple(with_blocks(layers)),
        graph=_with_own_heads(graph, layers, apart),
        spaces=tuple(spaces),
        axes=axes,
        guessed=frozenset(guessed),
        coded=_own(like_spaces, known.coded),
        dotted=_own(like_spaces, known.dotted),
        averaged=_own(like_spaces, known.averaged),
        order_from=order_from,
        origin=f"{bare.origin} (like {known.origin})",
    )


def _own(like: Sequence[int], known: AbstractSet[int]) -> frozenset[int]:
    """Return the spaces that are `like` one of the `known` ones."""
    return frozenset(i for i, space in enumerate(like) if space in known)


def _no_longer_tied(bare: Architecture, known: Architecture, named: Mapping[str, Likeness]) -> dict[str, str | None]:
    """Return the tensors that the checkpoint has for themselves, with those that they are tied to in `known`."""
    return {
        name: known.by_name[found.template].tied_to
        for name, found in named.items()
        if known.by_name[found.template].tied_to and not bare.by_name[name].tied_to
    }


def _worked(bare: Architecture, known: Architecture, like: Mapping[str, Likeness]) -> Iterator[TensorSpec]:
    """Yield the tensors of `bare` with what code works out of those of their shape in `known`."""
    for spec in bare.tensors:
        own = known.by_name[like[spec.name].template] if spec.name in like else None
        yield replace(spec, worked=own.worked if own is not None and own.shape == spec.shape else ())


def _named(bare: Architecture, known: Architecture) -> tuple[Mapping[str, Likeness], str]:
    """Return which of the known tensors each one is like, and where the order of layers comes from then."""
    named, order_from = templates(bare.tensors, known), "recognised"
    if not named or _are_for_others(named, known):
        named, order_from = {} if _is_sorted(bare) else in_its_order(bare.tensors, known), bare.order_from
        named = named or {name: Likeness(*like) for name, like in by_modules(bare.tensors, known.tensors).items()}
        named = {} if _are_for_others(named, known) or _counts_otherwise(named, bare, known) else named
    return with_tables(named, known, bare.tensors), order_from


def _are_for_others(named: Mapping[str, Likeness], known: Architecture) -> bool:
    """Tell whether a name that is not the known one's says that its tensor is for something else than the known graph
    shows its place to be for."""
    units = {unit.key: unit for unit in units_of(known)}
    own = {found.template: name.rpartition(".")[0] for name, found in named.items()}
    for key, role in graph_roles(known, units.values()).items():
        weight = known.layers[units[key].place].tensor("weight") or ""
        path = own.get(weight, "")
        said = canonical_role(path) if _last(path) != _last(weight.rpartition(".")[0]) else ""
        if any(role in parts and said in parts and said != role for parts in (*PART_ROLES.values(), NORMS)):
            return True
    return False


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _counts_otherwise(named: Mapping[str, Likeness], bare: Architecture, known: Architecture) -> bool:
    """Tell whether blocks of a row that has another name in the known network may be counted there from its other
    end."""
    undirected = undirected_blocks(units_of(bare))
    pairs = ((bare.layer_of[name].block, known.layer_of[found.template].block) for name, found in named.items())
    return any(mine in undirected and spelled_row(mine) != spelled_row(other) for mine, other in pairs)


def _heads_besides(bare: Architecture, known: Architecture, named: Mapping[str, Likeness]) -> dict[str, str]:
    """Return the weights of layers that the known network has not, of the size of a table that it runs again as its
    head, with the names of these tables."""
    runs = Counter(node.layer for node in known.graph)
    again = {name for place, layer in enumerate(known.layers) for _, name in layer.tensors if runs[place] > 1}
    tables = [(name, bare.by_name[name].shape) for name, found in named.items() if found.template in again]
    besides = (layer.tensor("weight") for layer in bare.layers if layer.kind == "linear")
    return {
        weight: table
        for weight in besides
        for table, shape in tables
        if weight is not None and weight not in named and bare.by_name[weight].shape == shape
    }


def _is_sorted(bare: Architecture) -> bool:
    """Tell whether the tensors are in the order of their names, and nothing says that they are defined so."""
    names = [tensor.name for tensor in bare.tensors]
    return bare.order_from == "inferred" and names == sorted(names)


def _with_own_heads(
    graph: Sequence[Node], layers: Sequence[Layer], apart: Mapping[str, str | None]
) -> tuple[Node, ...]:
    """Return `graph` with a head of the checkpoint's own where the known network runs its table once more: `apart` are
    tensors that it has for itself, with those that they are tied to in the known network."""
    nodes = list(graph)
    homes = {name: place for place, layer in enumerate(layers) for _, name in layer.tensors}
    for name, table in apart.items():
        runs = [i for i, node in enumerate(nodes) if node.layer == homes.get(table or "", -1)]
        head = homes.get(name, -1)
        if len(runs) > 1 and head >= 0 and layers[head].kind == "linear":
            nodes[runs[-1]] = replace(nodes[runs[-1]], layer=head)
    return tuple(nodes)


def _is_coherent(members: Sequence[Member], known: Architecture, axes: Mapping[str, tuple[Axis, ...]]) -> bool:
    """Tell whether the sizes fit together as in the known network: in all linear maps, and nearly everywhere else."""
    missing = [
        known.layers[member.like].kind in LINEAR
        for member in members
        for template, name in member.tensors.items()
        if template in known.axes and name not in axes
    ]
    return not any(missing) and len(missing) <= (1 - LIKE) * len(axes)


def _repeats_what_it_lacks(members: Sequence[Member], known: Architecture) -> bool:
    """Tell whether a block is there more often than in the known network, and always without some of its weights."""
    needed = {i for i, layer in enumerate(known.layers) if layer.kind in LINEAR}
    lacking, units = needed - {member.like for member in members}, Units(known, members)
    copies = copies_of(units, members)
    return any(len(copies.get(units.of_layer(place), ())) > 1 for place in lacking)


def _members(known: Architecture, like: Mapping[str, Likeness]) -> list[Member]:
    """Return the checkpoint's layers in the order of the known ones, repeated blocks behind the one they are like."""
    home = {name: place for place, layer in enumerate(known.layers) for _, name in layer.tensors}
    placed = [(home[one.template], name, one) for name, one in like.items() if one.template in home]
    layers = ((place, known.layers[place], name, one) for place, name, one in placed)
    held = gathered(((i, one.path(a.path), one.path(a.block)), (one.template, name)) for i, a, name, one in layers)
    return in_order([Member(*key, dict(tensors)) for key, tensors in held.items()], known)


def _beside(bare: Architecture, like: Mapping[str, Likeness]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return for each tensor that the known network has what its layer holds here alone, such as a bias, with roles."""
    return {
        name: tuple((role, other) for role, other in layer.tensors if other not in like)
        for layer in bare.layers
        for _, name in layer.tensors
        if name in like
    }


def _layer(
    member: Member,
    known: Architecture,
    bare: Architecture,
    axes: Mapping[str, tuple[Axis, ...]],
    spaces: Sequence[Space],
    beside: Mapping[str, tuple[tuple[str, str], ...]],
) -> Layer:
    """Return the layer with the checkpoint's tensors, those `beside` that the known one lacks among them, and its
    kernel and groups as their shapes tell."""
    like = known.layers[member.like]
    tensors = tuple((role, member.tensors[name]) for role, name in like.tensors if name in member.tensors)
    tensors += tuple(dict.fromkeys(more for _, name in tensors for more in beside.get(name, ())))
    attributes = dict(like.attributes)
    if like.tensor(WITH_LENGTH) and WITH_LENGTH not in dict(tensors):
        attributes.pop("standardised", None)
    weight = dict(tensors).get("weight")
    if weight is not None and like.kind == "conv":
        shape = bare.by_name[weight].shape
        attributes |= {"kernel": shape[2:], "positions": positions_of(like)}
        if attributes.get("groups", 1) > 1 and weight in axes:
            outer = axes[weight][0].tree
            attributes["groups"] = spaces[leaves(outer)[0]].size
    known_attributes = tuple(sorted(attributes.items()))
    constants = (*like.constants, *(number for number in like.numbers if number[0] == OFFSET))
    return replace(
        like, path=member.path, tensors=tensors, attributes=known_attributes, numbers=(), constants=constants
    )
