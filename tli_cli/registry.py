"""Named strategies: one registry for each kind, with suggestions for unknown names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Generic, TypeVar

from tli_cli.errors import TliError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `did you mean 'combo' or 'crop'?`, empty if nothing is close."""
    close = get_close_matches(str(name), list(dict.fromkeys(known)), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


class Registry(Generic[T]):
    """Strategies by name, each given as `module:attribute` and imported when it is first used."""

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def get(self, name: str) -> T:
        """Return the strategy called `name`; raise `TliError` naming the known ones otherwise."""
        if name not in self._entries:
            hint = did_you_mean(name, self._entries) or "use one of these."
            raise TliError(f"unknown {self.kind} {name!r}: expected one of {', '.join(self._entries)}; {hint}")
        module, _, attribute = self._entries[name].partition(":")
        strategy: T = getattr(import_module(module), attribute)
        return strategy
