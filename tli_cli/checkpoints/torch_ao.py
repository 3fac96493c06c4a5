"""Layers that torch quantised (`torch.ao`): codes in types of its own, some packed, with their scales beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from tli_cli.errors import CheckpointError

_LEFT_OUT = "left out: it cannot be resized or copied"
_PACKED = "_packed_params"
_OUTPUT = ("scale", "zero_point")
"""What stands beside each quantised layer, or alone where quantised values are added or come in."""


def unpacked(node: Mapping[Any, Any], is_tensor: Callable[[object], bool]) -> dict[Any, Any]:
    """Return `node` with weight and bias of linear layers in the place of the pairs that torch packs them in."""
    found: dict[Any, Any] = {}
    for key in node:
        value = node[key]
        if str(key).endswith(f".{_PACKED}") and isinstance(value, tuple) and value and is_tensor(value[0]):
            module = str(key).removesuffix(f".{_PACKED}").removesuffix(f".{_PACKED}")
            named = zip(("weight", "bias"), value, strict=False)
            found |= {f"{module}.{name}": held for name, held in named if is_tensor(held)}
        elif not str(key).endswith(f".{_PACKED}.dtype"):
            found[key] = value
    return found


def left_out(
    quantised: Mapping[str, str], axes: Mapping[str, int], where: str
) -> tuple[Collection[str], tuple[str, ...]]:
    """Return which tensors, of so many `axes`, are no numbers, and what to say of them: those that are `quantised`, by
    their dtypes, and what stands in their layers.

    Raises:
        CheckpointError: there is no other weight.
    """
    rest = set(_beside(quantised, axes)) if quantised else set()
    lines = [f"{name}: quantised ({dtype}), {_LEFT_OUT}" for name, dtype in quantised.items()]
    if rest:
        lines.append(f"{len(rest)} tensors beside these, left out with them: {', '.join(sorted(rest)[:3])} ...")
    others = [name for name in axes if name not in quantised and name not in rest]
    if rest and not any(axes[name] > 1 for name in others):
        raise CheckpointError(
            f"{where}: expected weights, found layers alone that torch quantised ({len(quantised)}, such as "
            f"{min(quantised)}); save the `state_dict()` of the model as it was before quantize_dynamic or convert"
        )
    return {*quantised, *rest}, tuple(lines)


def _beside(quantised: Collection[str], names: Collection[str]) -> Iterator[str]:
    modules = {name.rpartition(".")[0] for name in quantised} - {""}
    for name in names:
        module, _, own = name.rpartition(".")
        alone = own in _OUTPUT and all(f"{module}.{other}" in names for other in _OUTPUT)
        if name not in quantised and (module in modules or alone):
            yield name
