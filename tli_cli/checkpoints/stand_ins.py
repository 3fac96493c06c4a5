"""What stands in what a file holds for what is not made of it: tensors, and objects of other classes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

_MAX_SIZES = 64
_KEYS = (str, bytes, int, float, bool, type(None))


class Unread:
    """Stands for a tensor that is not loaded; each reader has a kind of its own."""


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
        """Keep the state that the object would have been given; beside items of its own, if it is short."""
        if not isinstance(state, dict):
            self.args = (state,)
        elif not self.held:
            self.held = state
        elif len(state) <= _MAX_SIZES:
            self.held.update(state)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __setitem__(self, key: Any, value: Any) -> None:
        self.held[key] = value

    def append(self, value: Any) -> None:
        """Forget what stands in a list."""

    def add(self, value: Any) -> None:
        """Forget what stands in a set."""


@cache
def inert(name: str) -> type[Inert]:
    """Return a class of inert objects that messages call `name`."""
    return type(name, (Inert,), {})


def as_sizes(given: Any = ()) -> tuple[int, ...]:
    """Stand for `torch.Size`."""
    if not isinstance(given, list | tuple) or len(given) > _MAX_SIZES or not all(type(size) is int for size in given):
        raise ValueError("sizes that are no whole numbers, or too many")
    return tuple(given)


def as_dict(given: Any = None) -> dict[Any, Any]:
    """Stand for a dictionary, ordered or not, that is made of another one or of a list of pairs."""
    if given is None or isinstance(given, dict):
        return {} if given is None else given
    if not isinstance(given, list):
        raise ValueError("a dictionary of something else than pairs")
    made = {as_key(key): value for key, value in given}
    given.clear()  # a few bytes could ask for it again and again
    return made


def as_key(value: Any) -> Any:
    """Return `value` as a key; an inert object instead of what may take for ever to look up, such as tuples in each
    other."""
    short = type(value) is not int or value.bit_length() <= 64
    return value if isinstance(value, Inert) or (type(value) in _KEYS and short) else inert(type(value).__name__)(value)
