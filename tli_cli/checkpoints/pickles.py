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
_MARK = -1
_MARK_OBJECT = pickletools.markobject
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"})
_CALLS = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "DUP", "BUILD"})


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
    stack: list[tuple[int, str]] = []
    memo: dict[int, tuple[int, str]] = {}
    largest = 0
    named: set[str] = set()
    for operation, argument, _ in pickletools.genops(file):
        name = operation.name
        popped = _pop(stack, operation)
        if name == "GLOBAL" or name == "INST":
            named.add(str(argument).replace(" ", ".", 1))
        elif name == "STACK_GLOBAL":
            named.add(".".join(text for _, text in popped))
        elif isinstance(argument, int) and not name.endswith(("GET", "PUT")):
            largest = max(largest, argument)
        if name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(str(argument))] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(str(argument))])
        elif operation.stack_after:
            top = (_depth(name, popped), argument if isinstance(argument, str) else "")
            stack.extend([top] * len(operation.stack_after))
    if largest > _MAX_BYTES and any(name.endswith(".bytearray") for name in named):
        raise ValueError(f"it may ask for {largest:,} empty bytes")
    return named


def _pop(stack: list[tuple[int, str]], operation: pickletools.OpcodeInfo) -> list[tuple[int, str]]:
    before = operation.stack_before
    count = len(before)
    popped: list[tuple[int, str]] = []
    if operation.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"):
        return popped
    if _MARK_OBJECT in before:
        count = before.index(_MARK_OBJECT)
        while (item := stack.pop())[0] != _MARK:
            popped.append(item)
    for _ in range(count):
        popped.append(stack.pop())
    return popped[::-1]


def _depth(name: str, popped: list[tuple[int, str]]) -> int:
    if name == "MARK":
        return _MARK
    inner = max((depth for depth, _ in popped), default=0)
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
