"""Looking at pickles without running them."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, ClassVar

from tli_cli.checkpoints.stand_ins import Inert, as_key, inert
from tli_cli.decoding import shown
from tli_cli.errors import CheckpointError

MAX_PICKLE = 256 << 20
"""The largest pickle that is looked at; tensors' values stand outside of it."""

_MAX_OPERATIONS = 5_000_000
"""Enough for 200,000 tensors, and looked at in seconds."""

_MAX_BITS = 128
"""Of whole numbers: those of a random generator's state have as many, and all others fewer."""
_MARK = object()
_NAMES = frozenset({"GLOBAL", "INST", "STACK_GLOBAL"})
_PUTS = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"})
_GETS = frozenset({"BINGET", "LONG_BINGET", "GET"})
_NUMBERS = (pickle.INT, pickle.LONG, pickle.LONG1, pickle.LONG4)
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
        CheckpointError: where it is damaged, or its operations claim more bytes than there are.
    """
    named: set[str] = set()
    try:
        _walk(file, named)
        return frozenset(named)
    except Exception as error:  # the disassembler raises many kinds on damaged input
        raise CheckpointError(
            f"{where}: expected a checkpoint, found a damaged pickle "
            f"({str(error)[:120] or type(error).__name__}); make or download it again"
        ) from error


def globals_so_far(file: BinaryIO) -> frozenset[str]:
    """Return the globals of a pickle up to where it ends or cannot be read, as where arrays stand in the midst of it.

    The file's position is what it was.
    """
    start, named = file.tell(), set[str]()
    with suppress(Exception):  # the disassembler raises many kinds on damaged input
        _walk(file, named)
    file.seek(start)
    return frozenset(named)


def _walk(file: BinaryIO, named: set[str]) -> None:
    """Add the globals to `named`, following on a stack which texts name one."""
    stack: list[object] = []
    memo: dict[int, object] = {}
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
            named.add(str(argument).replace(" ", ".", 1) if argument else ".".join(map(str, popped)))
        stack.extend([_MARK if name == "MARK" else argument if isinstance(argument, str) else ""] * given)


def _pop(stack: list[object], marked: bool, count: int) -> list[object]:
    """Take what stands above the last mark, if `marked`, and `count` values more."""
    popped: list[object] = []
    if marked:
        while (item := stack.pop()) is not _MARK:
            popped.append(item)
    popped += [stack.pop() for _ in range(count)]
    return popped[::-1]


_SET, _FROZEN = inert("set"), inert("frozenset")


def _bounded(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return what loads a whole number as `load` does, and something inert in the place of one beyond bounds, which no
    message could say and no JSON hold."""

    def loaded(unpickler: Any) -> None:
        load(unpickler)
        if unpickler.stack[-1].bit_length() > _MAX_BITS:
            unpickler.stack[-1] = inert("int")()

    return loaded


_WHOLE = {code[0]: _bounded(pickle._Unpickler.dispatch[code[0]]) for code in _NUMBERS}


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

    def load_setitem(self) -> None:
        """Put a value into a dictionary."""
        self.stack[-2] = as_key(self.stack[-2])
        super().load_setitem()  # type: ignore[misc]

    def load_setitems(self) -> None:
        """Put values into a dictionary."""
        self.stack[::2] = [as_key(key) for key in self.stack[::2]]
        super().load_setitems()  # type: ignore[misc]

    def load_dict(self) -> None:
        """Make a dictionary."""
        self.stack[::2] = [as_key(key) for key in self.stack[::2]]
        super().load_dict()  # type: ignore[misc]

    def load_empty_set(self) -> None:
        """Make what stands for a set."""
        self.stack.append(_SET())

    def load_frozenset(self) -> None:
        """Make what stands for a set."""
        self.pop_mark()  # type: ignore[attr-defined]
        self.stack.append(_FROZEN())

    dispatch |= _WHOLE
    dispatch |= {
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.EMPTY_SET[0]: load_empty_set,
        pickle.FROZENSET[0]: load_frozenset,
    }


_STORAGE = "torch.storage._load_from_bytes"
"""What tensors ask for that pickle.dump has written, and not torch.save."""
_KNOWN: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("torch.distributed.tensor.", "torch.distributed._shard."),
        "it is one process's part of a model on several, in classes of torch's own: {}. torch.distributed.checkpoint."
        "save writes a directory that is read here, and get_model_state_dict(model, options=StateDictOptions("
        "full_state_dict=True)) gives whole tensors to save",
    ),
    (
        ("torchao.", "optimum.quanto.", "torch.ScriptObject"),
        "its tensors are quantised, in classes of a library: {}. Save the `state_dict()` of the model as it was before",
    ),
    (
        ("deepspeed.",),
        "it is DeepSpeed's state of training: {}. The weights are in mp_rank_00_model_states.pt beside it, or come out "
        "of zero_to_fp32.py, which DeepSpeed writes into the directory of its checkpoints",
    ),
    (
        ("torch.nn.modules.",),
        "it is a whole model, which asks to run or build more than tensors: {}. There is no unsafe way to load it "
        "here. If you trust where it comes from, run where its code is: held = torch.load(FILE, weights_only=False); "
        'torch.save(held.state_dict(), "new.pt"), or held["model"].state_dict() where it is a dictionary of training '
        "state, as Ultralytics writes one",
    ),
)
"""What pickles are that ask for such classes, and what to do instead."""


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
    named = ", ".join(map(shown, blocked[:8])) + (f" and {len(blocked) - 8} more" if len(blocked) > 8 else "")
    if blocked == [_STORAGE]:
        return (
            f"{where}: not read, because pickle.dump wrote it, which asks to run code for each tensor: {named}. If you "
            'trust where it comes from, torch.save(pickle.load(open(FILE, "rb")), "new.pt") writes what is read here'
        )
    for classes, said in _KNOWN:
        if any(name.startswith(classes) for name in blocked):
            return f"{where}: not read, because {said.format(named)}"
    return (
        f"{where}: not read, because it is a pickle that asks to run or build more than tensors: {named}. "
        "Expected a plain state dict; there is no unsafe way to load it here. If you trust where it comes from, load "
        "it yourself with torch.load(FILE, weights_only=False) and save `model.state_dict()`, or the state dict or "
        "arrays that it holds, best as safetensors"
    )
