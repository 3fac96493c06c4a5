"""Finding the model's state dict in what a torch file holds, and saying what stands beside it."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tli_cli.checkpoints.names import is_counter
from tli_cli.checkpoints.no_weights import of_optimizers, require_weights
from tli_cli.checkpoints.stand_ins import Inert, Unread
from tli_cli.checkpoints.torch_ao import unpacked
from tli_cli.decoding import encodable
from tli_cli.errors import CheckpointError
from tli_cli.registry import did_you_mean

PLAIN_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "params",
    "weights",
    "teacher",
)
"""Where training scripts put the weights, the likeliest first."""

SETTINGS = ("model_args", "model_config", "config", "cfg", "args", "hparams", "hyper_parameters", "opt")
"""Where training scripts put what they built the model with, such as its number of heads."""

ANY_EMA = "any"
_EMA = re.compile(r"(^|_)(ema|averaged|swa)($|_)")
_EXCHANGED = {"message_hub": _EMA, "averaging_state": re.compile("current_model_state")}
"""What mmengine and Lightning keep beside averages that they save as weights, and what they call those weights."""
_MAX_DEPTH = 4
_MOST_SETTINGS = 1000
_DEEPEST_SETTINGS = 32


@dataclass(frozen=True)
class Found:
    """The state dict, a line on each thing that was left aside, and the whole numbers among the settings beside it."""

    tensors: dict[str, Any]
    ignored: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def find_state_dict(loaded: object, where: str, ema: str | None = None) -> Found:
    """Return the state dict in `loaded`; with `ema`, the one called so (`any`: whichever averaged one there is), or the
    one at that path of keys, `generator.ema`.

    Raises:
        CheckpointError: where there is none, or several without a known name.
    """
    ignored: list[str] = []
    settings: dict[str, Any] = {}
    node: Any = loaded
    path = ""
    is_averaged = ema == ANY_EMA or bool(ema and _EMA.search(ema))
    for step in _keys_to(loaded, ema or ""):
        ignored += _lines(node, path, step)
        node, path, ema = node[step], _join(path, step), None
    for _ in range(_MAX_DEPTH):
        if not isinstance(node, Mapping):
            raise CheckpointError(
                f"{where}: expected a state dict (names to tensors){_at(path)}, found {_kind(node)}; "
                "save `model.state_dict()` instead"
            )
        require_weights(node, f"{where}{_at(path)}")
        inner = _averages_within(node) if is_averaged else {}
        node = inner or (ema is None and path and _joined(node)) or node
        if inner or (ema is None and _is_state_dict(node)):
            break
        key, ema = _choose(node, where, path, ema), None
        if key is None:
            break
        ignored += _lines(node, path, key)
        settings |= {name: _whole_numbers(value, set()) for name, value in _items(node) if name in SETTINGS}
        node, path = node[key], _join(path, key)
    node = unpacked(node, _is_tensor)
    tensors = {name: value for name, value in _items(node) if _is_tensor(value) and not is_counter(str(name))}
    ignored += [_line(str(name), value) for name, value in _items(node) if name not in tensors]
    if training := of_optimizers(tensors, where):
        tensors = {name: value for name, value in tensors.items() if name not in training}
        ignored.append(f"{min(training)[:60]} and the like: an optimizer's state, {_entries(len(training))}")
    _require_names(tensors, where)
    return Found(tensors, tuple(ignored), {name: held for name, held in settings.items() if held})


def _averages_within(node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the tensors of the one module that holds the averages of all others in a state dict, if one does."""
    names = [name for name, value in _items(node) if isinstance(name, str) and _is_tensor(value)]
    own = {name: node[name] for name in names if _EMA.search(name.partition(".")[0])}
    others = {name.partition(".")[2] for name in names if name not in own}
    is_one = len({name.partition(".")[0] for name in own}) == 1
    return own if is_one and {name.partition(".")[2] for name in own} == others - {""} else {}


def _whole_numbers(settings: object, seen: set[int], depth: int = 0) -> dict[str, Any]:
    """Return the whole numbers in `settings`, a dictionary or what `argparse` makes, and in those within it."""
    held = vars(settings) if isinstance(settings, Namespace) else settings
    held = held.held if isinstance(held, Inert) else held
    if not isinstance(held, Mapping) or id(held) in seen or len(seen) > _MOST_SETTINGS or depth > _DEEPEST_SETTINGS:
        return {}
    seen.add(id(held))
    found: dict[str, Any] = {}
    for name, value in islice(_items(held), _MOST_SETTINGS):
        if type(value) is int:
            found[str(name)] = value
        elif inner := _whole_numbers(value, seen, depth + 1):
            found[str(name)] = inner
    return found


def _keys_to(node: object, path: str) -> list[str]:
    """Return the keys, one or several, that lead to a state dict in `node` and joined by dots are `path`."""
    if not isinstance(node, Mapping):
        return []
    for key, value in _items(node):
        if key == path and _holds_state_dict(value, {}):
            return [key]
        if isinstance(key, str) and path.startswith(f"{key}.") and (rest := _keys_to(value, path[len(key) + 1 :])):
            return [key, *rest]
    return []


def _paths(node: object, seen: set[int], depth: int = 0) -> list[str]:
    """Return where dictionaries with tensors stand in `node`, each once, training state apart."""
    if not isinstance(node, Mapping) or depth > _MAX_DEPTH or id(node) in seen:
        return []
    seen.add(id(node))
    named = [(key, value) for key, value in _items(node) if isinstance(key, str) and not _is_training_state(key)]
    if depth and any(_is_tensor(value) for _, value in named):
        return [""]
    return [_join(key, rest).rstrip(".") for key, value in named for rest in _paths(value, seen, depth + 1)]


def _joined(node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the tensors in dictionaries within `node`, where it holds none and only one dictionary that such are in,
    each by the keys that lead to it: modules in modules, as Megatron saves them. Nothing for all other dictionaries."""
    inner = [value for _, value in _items(node) if isinstance(value, Mapping)]
    if len(inner) != 1 or any(_holds_state_dict(value, {}) for value in (node, *inner)):
        return {}
    return dict(_leaves(node, set()))


def _leaves(node: Mapping[Any, Any], seen: set[int], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in and below `node`, each dictionary once, with the keys that lead to it."""
    if id(node) in seen or depth > 2 * _MAX_DEPTH:
        return
    seen.add(id(node))
    for key, value in _items(node):
        if _is_tensor(value):
            yield str(key), value
        elif isinstance(value, Mapping):
            yield from ((_join(str(key), name), held) for name, held in _leaves(value, seen, depth + 1))


def _choose(node: Mapping[Any, Any], where: str, path: str, ema: str | None) -> str | None:
    known: dict[tuple[int, int], bool] = {}
    candidates = [key for key, value in _items(node) if isinstance(key, str) and _holds_state_dict(value, known)]
    averaged = [key for key in candidates if _EMA.search(key)]
    if before := _before_averages(node):
        averaged = [key for key in candidates if key not in before]
    if ema is not None:
        if ema == ANY_EMA and averaged:
            return averaged[0]
        held = f"it holds {', '.join(candidates) or 'no state dict by name'}; leave --ema out to take the plain weights"
        raise CheckpointError(f"{where}: no averaged weights called {ema!r}; {did_you_mean(ema, averaged) or held}")
    plain = [key for key in PLAIN_KEYS if key in candidates]
    others = [key for key in candidates if key not in averaged and not _is_training_state(key)]
    if plain or len(others) == 1:
        return (plain or others)[0]
    if not others and averaged:
        return averaged[0]
    modules = [key for key in PLAIN_KEYS if key in node and isinstance(node[key], Mapping) and _joined(node[key])]
    if not others and not path and modules:
        return modules[0]
    if not others and (deeper := _paths(node, set())):
        raise CheckpointError(
            f"{where}: found tensors{_at(path)} at {', '.join(deeper[:12])} alone; {_how(path, deeper)}"
        )
    if not others:
        raise CheckpointError(
            f"{where}: expected tensors{_at(path)}, found {_summary(node)}; save a state dict, or one under "
            f"{', '.join(PLAIN_KEYS[:4])}"
        )
    raise CheckpointError(
        f"{where}: found several state dicts{_at(path)}: {', '.join(others[:12])}; {_how(path, others)}"
    )


def _how(path: str, keys: Sequence[str]) -> str:
    name = _join(path, keys[0])
    return f"name the wanted one, as #{name} behind the file's name or --ema {name}, or save it alone"


def _items(node: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield keys and values; not `items()`, which a pickle can give an ordered dict of its own."""
    return ((key, node[key]) for key in node)


def _is_tensor(value: object) -> bool:
    if isinstance(value, Unread):
        return True
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_state_dict(value: object) -> bool:
    """Return whether tensors stand directly in `value`, and no dict that would be the real one."""
    if not isinstance(value, Mapping) or not any(_is_tensor(item) for _, item in _items(value)):
        return False
    known: dict[tuple[int, int], bool] = {}
    return not any(key in PLAIN_KEYS and _holds_state_dict(item, known) for key, item in _items(value))


def _holds_state_dict(value: object, known: dict[tuple[int, int], bool], depth: int = 0) -> bool:
    """Return whether tensors stand in `value`, or below keys where training scripts put them; `known` are answers on
    what was looked into before, for a pickle may hold one dictionary in many places, and within itself."""
    if not isinstance(value, Mapping) or depth == _MAX_DEPTH:
        return False
    place = id(value), depth
    if place not in known:
        below = (value[key] for key in PLAIN_KEYS if key in value)
        known[place] = any(_is_tensor(item) for _, item in _items(value)) or any(
            _holds_state_dict(item, known, depth + 1) for item in below
        )
    return known[place]


def _is_training_state(key: str) -> bool:
    return any(word in key for word in ("optim", "sched", "scaler", "rng", "callbacks", "loops", "hparams", "args"))


def _require_names(tensors: Mapping[Any, Any], where: str) -> None:
    for name in tensors:
        if not isinstance(name, str):
            raise CheckpointError(f"{where}: expected names as keys, found {_kind(name)} {str(name)[:40]!r}")
        if not name or not encodable(name):
            raise CheckpointError(f"{where}: the name {name[:40]!r} is empty or not valid text")


def _lines(node: Mapping[Any, Any], path: str, chosen: str) -> Iterator[str]:
    """Yield a line on each thing in `node` but the `chosen` one."""
    before = _before_averages(node)
    for key, value in _items(node):
        name = _join(path, key)
        if key in before and key != chosen:
            yield f"{name}: weights before they were averaged, {_entries(len(value))}; the averages are {chosen}"
        elif key != chosen:
            yield _line(name, value)


def _before_averages(node: Mapping[Any, Any]) -> list[str]:
    """Return what the weights themselves are called where the averages have their name."""
    called = [how for key, how in _EXCHANGED.items() if key in node]
    named = [str(key) for key, value in _items(node) if isinstance(value, Mapping)] if called else []
    return [key for key in named if any(how.search(key) for how in called)]


def _line(name: str, value: object) -> str:
    if _EMA.search(name) and isinstance(value, Mapping):
        return f"{name}: averaged weights, {_entries(len(value))}; choose them with --ema {name.rpartition('.')[2]}"
    named = name.rpartition(".")[2] in PLAIN_KEYS
    if isinstance(value, Mapping) and (named or any(str(key).endswith(".weight") for key in value)):
        return f"{name}: weights, {_entries(len(value))}, not the ones chosen"
    if isinstance(value, Mapping | list | tuple | set):
        return f"{name}: training state, {_entries(len(value))}"
    return f"{name}: {_kind(value)}"


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


def _kind(value: object) -> str:
    return "a tensor" if _is_tensor(value) else type(value).__name__


def _summary(node: Mapping[Any, Any]) -> str:
    shown = [f"{str(key)[:40]} ({_kind(value)})" for key, value in islice(_items(node), 8)]
    return ", ".join(shown) or "an empty dict"


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _at(path: str) -> str:
    return f" under {path!r}" if path else ""
