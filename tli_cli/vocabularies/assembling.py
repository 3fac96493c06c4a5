"""A vocabulary of the tokens that a file lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tli_cli.errors import TliError
from tli_cli.vocabularies.conventions import RAW, Decode
from tli_cli.vocabularies.specials import usual_roles
from tli_cli.vocabularies.vocabulary import Vocabulary

MAX_TOKENS = 1 << 23
"""The most rows that a vocabulary may ask for."""


def assembled(
    origin: str,
    listed: Mapping[str, int],
    decode: Decode,
    *,
    added: Mapping[str, int],
    special: Collection[str] = (),
    roles: Mapping[str, str],
    ends_words: bool = False,
    lowercase: bool = False,
) -> Vocabulary:
    """Return the vocabulary of the tokens that are `listed`, and of others that are `added` and written as they are;
    `special` ones stand for no text, and usual spellings tell the roles that `roles` leaves out.

    Raises:
        TliError: there are no tokens, or ids that no table has.
    """
    tokens = {**listed, **added}
    if not tokens or max(tokens.values()) >= MAX_TOKENS or min(tokens.values()) < 0:
        found = f"ids up to {max(tokens.values())}" if tokens else "none"
        raise TliError(f"{origin}: expected tokens with ids from 0 to {MAX_TOKENS - 1}, found {found}")
    named = {role: name for role, name in {**usual_roles(tokens), **roles}.items() if name in tokens}
    marked = {*special, *named.values()}
    raw = {token: bytes([int(match[1], 16)]) for name, token in tokens.items() if (match := RAW.fullmatch(name))}
    return Vocabulary(
        origin,
        texts={
            token: name.encode("utf-8", "surrogatepass") if name not in listed else decode(name)
            for name, token in tokens.items()
            if name not in marked and token not in raw
        },
        raw=raw,
        specials={token: name for name, token in tokens.items() if name in marked},
        roles={role: tokens[name] for role, name in named.items()},
        ends_words=ends_words,
        lowercase=lowercase,
    )
