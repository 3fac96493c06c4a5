"""Names without what wrappers put in front: `module.`, `_orig_mod.`, `model.` and the like, in any nesting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

WRAPPERS = frozenset(
    {
        "module",
        "_orig_mod",
        "model",
        "net",
        "network",
        "ema_model",
        "model_ema",
        "ema",
        "averaged_model",
        "state_dict",
        "model_state_dict",
        "_forward_module",
        "_fsdp_wrapped_module",
        "_checkpoint_wrapped_module",
        "params",
        "base_model",
    }
)
"""Names that wrappers give to the model that they hold."""

_ANYWHERE = frozenset({"_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"})
_ADAPTED = "base_layer"
"""What peft calls a layer within the one that it puts in its place."""
_MAX_NESTING = 16
_COUNTERS = frozenset({"n_averaged", "num_updates", "decay"})


def is_counter(name: str) -> bool:
    """Return whether `name` is a wrapper's own counter (`AveragedModel.n_averaged`) and no part of the model."""
    return name in _COUNTERS


def clean_names(stored: Sequence[str], expected: Collection[str] = ()) -> dict[str, str]:
    """Return clean name -> stored name, in the order of `stored`.

    A prefix goes only if every entry has it, so `model.` beside `lm_head.weight` stays. What would make two names
    one is left as it is. With `expected`, as many prefixes go, or come, as bring the most names among those.
    """
    cleaned = [_without_inner_wrappers(name) for name in stored]
    if len(set(cleaned)) != len(stored) or not all(cleaned):
        cleaned = list(stored)
    readings = list(_unwrapped(cleaned))
    plain, known = readings[-1], set(expected)
    for prefix in _wrappers(list(expected)):
        readings.append([f"{prefix}{name}" for name in plain])
    best = max(readings, key=lambda names: (len(known.intersection(names)), names is plain))
    return dict(zip(best, stored, strict=True))


def dotted(names: Iterable[str]) -> dict[str, str]:
    """Return the names of which the last part is another name, or the end of one, without its dots, each with these:
    averages that latent diffusion keeps as buffers of one module.

    >>> dotted(["model.unet.out.weight", "model_ema.unetoutweight"])
    {'model_ema.unetoutweight': 'model_ema.unet.out.weight'}
    """
    held = list(names)
    whole = {
        "".join(parts[i:]): parts[i:] for name in held for parts in [name.split(".")] for i in range(len(parts) - 2)
    }
    cut = [(name, *name.rpartition(".")) for name in held]
    return {name: f"{module}.{'.'.join(whole[last])}" for name, module, dot, last in cut if dot and last in whole}


def _wrappers(names: list[str]) -> list[str]:
    """Return what stands before all of `names`: `net.`, `net.module.` and so on, as far as it wraps."""
    return [names[0][: len(names[0]) - len(inner[0])] for inner in _unwrapped(names)][1:] if names else []


def _unwrapped(names: list[str]) -> Iterator[list[str]]:
    """Yield the names as they are, and without one shared wrapper after the other."""
    yield names
    for _ in range(_MAX_NESTING):
        prefix = _shared_wrapper(names)
        if prefix is None:
            return
        names = [name[len(prefix) + 1 :] for name in names]
        yield names


def _without_inner_wrappers(name: str) -> str:
    *outer, last = name.split(".")
    outer = outer[:-1] if len(outer) > 1 and outer[-1] == _ADAPTED else outer
    return ".".join([*(part for part in outer if part not in _ANYWHERE), last])


def _shared_wrapper(names: Iterable[str]) -> str | None:
    heads = {name.partition(".")[0] if name.partition(".")[2] else "" for name in names}
    if len(heads) != 1:
        return None
    head = heads.pop()
    return head if head in WRAPPERS else None
