"""Finding the model's state dict in what a torch file holds, and saying what stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tli_cli.checkpoints.left_aside import AVERAGED, PLAIN_KEYS, before_averages, entries, line_on, lines_on
from tli_cli.checkpoints.names import is_counter
from tli_cli.checkpoints.nested_values import is_tensor, items, kind_of, path_to, said_at
from tli_cli.checkpoints.no_weights import of_optimizers, require_weights
from tli_cli.checkpoints.script_settings import SETTINGS, whole_numbers
from tli_cli.checkpoints.torch_ao import unpacked
from tli_cli.decoding import encodable
from tli_cli.errors import CheckpointError
from tli_cli.registry import did_you_mean

ANY_EMA = "any"
_MAX_DEPTH = 4


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
    is_averaged = ema == ANY_EMA or bool(ema and AVERAGED.search(ema))
    for step in _keys_to(loaded, ema or ""):
        ignored += lines_on(node, path, step)
        node, path, ema = node[step], path_to(path, step), None
    for _ in range(_MAX_DEPTH):
        if not isinstance(node, Mapping):
            raise CheckpointError(
                f"{where}: expected a state dict (names to tensors){said_at(path)}, found {kind_of(node)}; "
                "save `model.state_dict()` instead"
            )
        require_weights(node, f"{where}{said_at(path)}")
        inner = _averages_within(node) if is_averaged else {}
        node = inner or (ema is None and path and _joined(node)) or node
        if inner or (ema is None and _is_state_dict(node)):
            break
        key, ema = _choose(node, where, path, ema), None
        if key is None:
            break
        ignored += lines_on(node, path, key)
        settings |= {name: whole_numbers(value, set()) for name, value in items(node) if name in SETTINGS}
        node, path = node[key], path_to(path, key)
    return _found(node, ignored, {name: held for name, held in settings.items() if held}, where)


def _found(node: Mapping[Any, Any], ignored: Sequence[str], settings: Mapping[str, Any], where: str) -> Found:
    """Return the tensors in `node`, what else stands there said beside what is `ignored` already."""
    node = unpacked(node, is_tensor)
    tensors = {name: value for name, value in items(node) if is_tensor(value) and not is_counter(str(name))}
    said = [line_on(str(name), value) for name, value in items(node) if name not in tensors]
    if training := of_optimizers(tensors, where):
        tensors = {name: value for name, value in tensors.items() if name not in training}
        said.append(f"{min(training)[:60]} and the like: an optimizer's state, {entries(len(training))}")
    _require_names(tensors, where)
    return Found(tensors, (*ignored, *said), settings)


def _averages_within(node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the tensors of the one module that holds the averages of all others in a state dict, if one does."""
    names = [name for name, value in items(node) if isinstance(name, str) and is_tensor(value)]
    own = {name: node[name] for name in names if AVERAGED.search(name.partition(".")[0])}
    others = {name.partition(".")[2] for name in names if name not in own}
    is_one = len({name.partition(".")[0] for name in own}) == 1
    return own if is_one and {name.partition(".")[2] for name in own} == others - {""} else {}


def _keys_to(node: object, path: str) -> list[str]:
    """Return the keys, one or several, that lead to a state dict in `node` and joined by dots are `path`."""
    if not isinstance(node, Mapping):
        return []
    for key, value in items(node):
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
    named = [(key, value) for key, value in items(node) if isinstance(key, str) and not _is_training_state(key)]
    if depth and any(is_tensor(value) for _, value in named):
        return [""]
    return [path_to(key, rest).rstrip(".") for key, value in named for rest in _paths(value, seen, depth + 1)]


def _joined(node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the tensors in dictionaries within `node`, where it holds none and only one dictionary that such are in,
    each by the keys that lead to it: modules in modules, as Megatron saves them. Nothing for all other dictionaries."""
    inner = [value for _, value in items(node) if isinstance(value, Mapping)]
    if len(inner) != 1 or any(_holds_state_dict(value, {}) for value in (node, *inner)):
        return {}
    return dict(_leaves(node, set()))


def _leaves(node: Mapping[Any, Any], seen: set[int], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in and below `node`, each dictionary once, with the keys that lead to it."""
    if id(node) in seen or depth > 2 * _MAX_DEPTH:
        return
    seen.add(id(node))
    for key, value in items(node):
        if is_tensor(value):
            yield str(key), value
        elif isinstance(value, Mapping):
            yield from ((path_to(str(key), name), held) for name, held in _leaves(value, seen, depth + 1))


def _choose(node: Mapping[Any, Any], where: str, path: str, ema: str | None) -> str | None:
    known: dict[tuple[int, int], bool] = {}
    candidates = [key for key, value in items(node) if isinstance(key, str) and _holds_state_dict(value, known)]
    averaged = [key for key in candidates if AVERAGED.search(key)]
    if before := before_averages(node):
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
            f"{where}: found tensors{said_at(path)} at {', '.join(deeper[:12])} alone; {_how(path, deeper)}"
        )
    if not others:
        raise CheckpointError(
            f"{where}: expected tensors{said_at(path)}, found {_summary(node)}; save a state dict, or one under "
            f"{', '.join(PLAIN_KEYS[:4])}"
        )
    raise CheckpointError(
        f"{where}: found several state dicts{said_at(path)}: {', '.join(others[:12])}; {_how(path, others)}"
    )


def _how(path: str, keys: Sequence[str]) -> str:
    name = path_to(path, keys[0])
    return f"name the wanted one, as #{name} behind the file's name or --ema {name}, or save it alone"


def _is_state_dict(value: object) -> bool:
    """Return whether tensors stand directly in `value`, and no dict that would be the real one."""
    if not isinstance(value, Mapping) or not any(is_tensor(item) for _, item in items(value)):
        return False
    known: dict[tuple[int, int], bool] = {}
    return not any(key in PLAIN_KEYS and _holds_state_dict(item, known) for key, item in items(value))


def _holds_state_dict(value: object, known: dict[tuple[int, int], bool], depth: int = 0) -> bool:
    """Return whether tensors stand in `value`, or below keys where training scripts put them; `known` are answers on
    what was looked into before, for a pickle may hold one dictionary in many places, and within itself."""
    if not isinstance(value, Mapping) or depth == _MAX_DEPTH:
        return False
    place = id(value), depth
    if place not in known:
        below = (value[key] for key in PLAIN_KEYS if key in value)
        known[place] = any(is_tensor(item) for _, item in items(value)) or any(
            _holds_state_dict(item, known, depth + 1) for item in below
        )
    return known[place]


def _is_training_state(key: str) -> bool:
    return any(word in key for word in ("optim", "sched", "scaler", "rng", "callbacks", "loops", "hparams", "args"))


def _require_names(tensors: Mapping[Any, Any], where: str) -> None:
    for name in tensors:
        if not isinstance(name, str):
            raise CheckpointError(f"{where}: expected names as keys, found {kind_of(name)} {str(name)[:40]!r}")
        if not name or not encodable(name):
            raise CheckpointError(f"{where}: the name {name[:40]!r} is empty or not valid text")


def _summary(node: Mapping[Any, Any]) -> str:
    shown = [f"{str(key)[:40]} ({kind_of(value)})" for key, value in islice(items(node), 8)]
    return ", ".join(shown) or "an empty dict"
