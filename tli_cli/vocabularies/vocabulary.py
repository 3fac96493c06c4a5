"""A vocabulary as a value: the text of every token, in one form whatever its tokeniser's convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

ROLES = ("eos", "bos", "sep", "cls", "mask", "pad", "unk")
"""What special tokens are for; of several roles that one has, the first says most of it."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of one tokeniser by their ids, which are the rows of its models' embeddings.

    Attributes:
        origin: the file that it was read from.
        texts: what each token stands for, in UTF-8. A token that begins a word begins with a space, one that goes on
            with a word does not; with `ends_words`, one that ends a word ends with a space instead.
        raw: the single bytes that stand in for what no token covers.
        specials: the tokens that stand for no text, as they are written.
        roles: the special tokens that have one of `ROLES`.
        ends_words: whether the convention marks where words end, not where they begin.
        lowercase: whether text is made lower case before it is cut.
    """

    origin: str
    texts: Mapping[int, bytes]
    raw: Mapping[int, bytes] = field(default_factory=dict)
    specials: Mapping[int, str] = field(default_factory=dict)
    roles: Mapping[str, int] = field(default_factory=dict)
    ends_words: bool = False
    lowercase: bool = False

    @cached_property
    def size(self) -> int:
        """How many rows its tokens need: the largest id and one."""
        return 1 + max((max(ids, default=-1) for ids in (self.texts, self.raw, self.specials)), default=-1)

    @cached_property
    def by_text(self) -> Mapping[bytes, int]:
        """The ids by text; of several, the first."""
        return _first_ids(self.texts)

    @cached_property
    def by_byte(self) -> Mapping[bytes, int]:
        """The ids of the single bytes."""
        return _first_ids(self.raw)

    @cached_property
    def by_special(self) -> Mapping[str, int]:
        """The ids of the special tokens as they are written."""
        return {name: token for token, name in reversed(list(self.specials.items()))}

    def fits(self, rows: int) -> bool:
        """Tell whether a table of so many rows may be one of these tokens: a few may lack, or fill it up."""
        return 0.9 * self.size <= rows <= 1.5 * self.size + 64


def _first_ids(texts: Mapping[int, bytes]) -> Mapping[bytes, int]:
    return {text: token for token, text in sorted(texts.items(), reverse=True)}
