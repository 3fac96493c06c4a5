"""Looking at pickles without running them."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    from typing_extensions import Self

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


class Inert:
    """Stands for an object of another class, which is not made: keeps what a pickle gives it, and does nothing."""

    args: tuple[Any, ...]
    held: dict[Any, Any]

    def __new__(cls, *args: Any) -> Self:
        """Keep the arguments, whether the class is called or a pickle makes it without a call."""
        made = super().__new__(cls)
        made.args, made.held = args, {}
        return made

    def take(self, state: Any) -> None:
        """Keep the state that the object would have been given."""
        if isinstance(state, dict):
            self.held.update(state)
        else:
            self.args = (state,)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.held[key] = value

    def append(self, value: Any) -> None:
        """Forget what stands in a list."""


# the unpickler in C allocates by the index that a memo entry claims; this one does not
class _AllowListUnpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def __init__(self, data: bytes, allowed: Mapping[str, Any], persistent: Callable[[Any], Any] | None) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed
        self._persistent = persistent

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in self._allowed:
            raise pickle.UnpicklingError(f"blocked {full}")
        return self._allowed[full]

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise pickle.UnpicklingError("a reference to something outside")
        return self._persistent(pid)

    def load_build(self) -> None:
        """Give a state to what keeps it, and to nothing else: attributes of classes and functions stay as they are."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].take(state)

    dispatch[pickle.BUILD[0]] = load_build


def load_allowed(
    data: bytes, allowed: Mapping[str, Any], where: str, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """Return what the pickle `data` describes, with nothing but the `allowed` globals, which must be inert.

    `persistent` tells what its references to things outside of it are; without it there may be none.

    Raises:
        CheckpointError: where it refers to anything else, naming all of it, or is damaged.
    """
    if blocked := sorted(globals_in(io.BytesIO(data), where) - set(allowed)):
        raise CheckpointError(blocked_message(where, blocked))
    try:
        return _AllowListUnpickler(data, allowed, persistent).load()
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(
            f"{where}: the pickle is damaged ({type(error).__name__}: {str(error)[:120]}); make or download it again"
        ) from error


def blocked_message(where: str, blocked: list[str]) -> str:
    """Return the message for a pickle that asks for more than data."""
    named = ", ".join(blocked[:8]) + (f" and {len(blocked) - 8} more" if len(blocked) > 8 else "")
    return (
        f"{where}: not read, because it is a pickle that asks to run or build more than tensors: {named}. "
        "Expected a plain state dict; there is no unsafe way to load it here. If you trust where it comes from, load "
        "it yourself and save `model.state_dict()`, best as safetensors"
    )
