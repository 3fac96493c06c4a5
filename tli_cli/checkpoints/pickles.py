"""Looking at pickles without running them."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any, BinaryIO

from tli_cli.errors import CheckpointError

MAX_PICKLE = 256 << 20
"""The largest pickle that is looked at; tensors' values stand outside of it."""

_MAX_TUPLES = 32
_MAX_BYTES = 1 << 28
_MAX_OPERATIONS = 5_000_000
"""Enough for 200,000 tensors, and looked at in seconds."""

_Value = tuple[int, str]
"""How deeply tuples are nested in a value on the stack, and the text that it is."""

_MARK = -1
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"})
_CALLS = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "DUP", "BUILD"})
_NAMES = frozenset({"GLOBAL", "INST", "STACK_GLOBAL"})
_PUTS = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"})
_GETS = frozenset({"BINGET", "LONG_BINGET", "GET"})
_MARKED = pickletools.markobject
_EFFECTS = {
    known.name: (
        _MARKED in known.stack_before,
        [*known.stack_before, _MARKED].index(_MARKED),
        len(known.stack_after),
    )
    for known in pickletools.opcodes
}
"""Of each operation: whether it takes what stands above a mark, how many values it takes beneath, and how many it
gives."""


def globals_in(file: BinaryIO, where: str) -> frozenset[str]:
    """Return the globals (`module.name`) that the pickle at the file's position refers to, without running it.

    Raises:
        CheckpointError: where it is damaged, its operations claim more bytes than there are, or it nests tuples so
            deeply that using one as a key would take for ever.
    """
    try:
        return frozenset(_walk(file))
    except Exception as error:  # the disassembler raises many kinds on damaged input
        raise CheckpointError(
            f"{where}: expected a checkpoint, found a damaged pickle "
            f"({str(error)[:120] or type(error).__name__}); make or download it again"
        ) from error


def _walk(file: BinaryIO) -> set[str]:
    """Return the globals, following on a stack how deeply tuples are nested and which texts name a global."""
    stack: list[_Value] = []
    memo: dict[int, _Value] = {}
    largest = 0
    named: set[str] = set()
    for number, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if number == _MAX_OPERATIONS:
            raise ValueError(f"it holds more than {_MAX_OPERATIONS:,} values beside tensors")
        name = operation.name
        if name in _PUTS:
            memo[len(memo) if argument is None else int(str(argument))] = stack[-1]
            continue
        if name in _GETS:
            stack.append(memo[int(str(argument))])
            continue
        marked, count, given = _EFFECTS[name]
        popped = _pop(stack, marked, count)
        if name in _NAMES:
            named.add(str(argument).replace(" ", ".", 1) if argument else ".".join(text for _, text in popped))
        elif isinstance(argument, int):
            largest = max(largest, argument)
        if given:
            depth = _depth(name, popped) if popped else _MARK if name == "MARK" else 0
            stack.extend([(depth, argument if isinstance(argument, str) else "")] * given)
    if largest > _MAX_BYTES and any(name.endswith(".bytearray") for name in named):
        raise ValueError(f"it may ask for {largest:,} empty bytes")
    return named


def _pop(stack: list[_Value], marked: bool, count: int) -> list[_Value]:
    """Take what stands above the last mark, if `marked`, and `count` values more."""
    popped: list[_Value] = []
    if marked:
        while (item := stack.pop())[0] != _MARK:
            popped.append(item)
    for _ in range(count):
        popped.append(stack.pop())
    return popped[::-1]


def _depth(name: str, popped: list[_Value]) -> int:
    inner = max(depth for depth, _ in popped)
    if name in _TUPLES:
        if inner >= _MAX_TUPLES:
            raise ValueError(f"more than {_MAX_TUPLES} tuples in each other")
        return inner + 1
    return inner if name in _CALLS else 0


# the unpickler in C allocates by the index that a memo entry claims; this one does not
class _AllowListUnpickler(pickle._Unpickler):
    def __init__(self, data: bytes, allowed: Mapping[str, Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in self._allowed:
            raise pickle.UnpicklingError(f"blocked {full}")
        return self._allowed[full]


def load_allowed(data: bytes, allowed: Mapping[str, Any], where: str) -> Any:
    """Return what the pickle `data` describes, with nothing but the `allowed` globals, which must be inert.

    Raises:
        CheckpointError: where it refers to anything else, naming all of it, or is damaged.
    """
    if blocked := sorted(globals_in(io.BytesIO(data), where) - set(allowed)):
        raise CheckpointError(blocked_message(where, blocked))
    try:
        return _AllowListUnpickler(data, allowed).load()
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(f"{where}: the pickle is damaged ({type(error).__name__}: {str(error)[:120]})") from error


def blocked_message(where: str, blocked: list[str]) -> str:
    """Return the message for a pickle that asks for more than data."""
    named = ", ".join(blocked[:8]) + (f" and {len(blocked) - 8} more" if len(blocked) > 8 else "")
    return (
        f"{where}: not read, because it is a pickle that asks to run or build more than tensors: {named}. "
        "Expected a plain state dict; there is no unsafe way to load it here. If you trust where it comes from, load "
        "it yourself and save `model.state_dict()`, best as safetensors"
    )
