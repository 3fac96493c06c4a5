"""The same network, as another person would have named it and in another order of definition."""

from __future__ import annotations

from random import Random
from typing import Any

from torch import nn

SYLLABLES = ("ba", "ko", "mi", "tu", "ra", "ne", "so", "li", "ve", "du", "fa", "ga", "pe", "zo")


def disguised(model: nn.Module, rng: Random, *, rename: bool, shuffle: bool = True) -> nn.Module:
    """Rename attributes of the network's own classes and shuffle them, in place; torch's own classes keep theirs."""
    for module in list(model.modules()):
        if type(module).__module__.startswith("torch.") or type(module).__name__.startswith("Parametrized"):
            continue
        alias = _renamed(module, rng, rename, shuffle)
        if alias:
            module.__class__ = _aliased(type(module), alias)
    return model


def _renamed(module: nn.Module, rng: Random, rename: bool, shuffle: bool) -> dict[str, str]:
    alias: dict[str, str] = {}
    stores: tuple[dict[str, Any], ...] = (module._modules, module._parameters, module._buffers)
    for store in stores:
        names = list(store)
        if shuffle:
            rng.shuffle(names)
        held = {name: store[name] for name in names}
        store.clear()
        for name, value in held.items():
            fresh = "".join(rng.choice(SYLLABLES) for _ in range(3)) if rename else name
            while fresh != name and (fresh in alias.values() or hasattr(module, fresh)):
                fresh += rng.choice(SYLLABLES)
            alias[name] = fresh
            store[fresh] = value
    return {old: new for old, new in alias.items() if old != new}


def _aliased(kind: type[nn.Module], alias: dict[str, str]) -> type[nn.Module]:
    def lookup(self: nn.Module, name: str) -> Any:
        return kind.__getattr__(self, alias.get(name, name))

    return type(kind.__name__, (kind,), {"__getattr__": lookup, "__module__": kind.__module__})
