"""`tokenizer.json`, as the `tokenizers` library writes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tli_cli.errors import TliError
from tli_cli.vocabularies.assembling import assembled
from tli_cli.vocabularies.conventions import META, Decode, of_bytes, of_endings, of_pieces, of_words, plain
from tli_cli.vocabularies.specials import content
from tli_cli.vocabularies.vocabulary import Vocabulary

_STAGES = ("normalizer", "pre_tokenizer", "decoder")
_INNER = ("normalizers", "pretokenizers", "decoders")
_AT_SPACES = {"Whitespace", "WhitespaceSplit", "BertPreTokenizer"}


def read_tokenizer(
    data: Mapping[str, Any], origin: str, roles: Mapping[str, str], special: Collection[str]
) -> Vocabulary:
    """Return the vocabulary that `data` describes, with the `roles` and `special` tokens that are known beside it.

    Raises:
        TliError: it lists no tokens with their ids.
    """
    model = data.get("model")
    if not isinstance(model, dict):
        raise TliError(f"{origin}: expected a tokeniser with a `model` and its `vocab`, found none")
    parts = [part for stage in _STAGES for part in _parts(data.get(stage))]
    listed = data.get("added_tokens")
    extra = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    added = {content(entry): entry for entry in extra if _is_id(entry.get("id")) and content(entry)}
    decode, ends_words = _convention(model, parts)
    return assembled(
        origin,
        _tokens(model.get("vocab"), origin),
        decode,
        added={name: entry["id"] for name, entry in added.items()},
        special={*special, *(name for name, entry in added.items() if entry.get("special") is True)},
        roles={**_unknown(model), **roles},
        ends_words=ends_words,
        lowercase=any(part.get("type") == "Lowercase" or part.get("lowercase") is True for part in parts),
    )


def _parts(stage: Any) -> Iterator[Mapping[str, Any]]:
    """Yield `stage`, or what it is a sequence of."""
    waiting = [stage]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, dict):
            yield part
            waiting += [inner for name in _INNER if isinstance(part.get(name), list) for inner in part[name]]


def _tokens(listed: Any, origin: str) -> dict[str, int]:
    """Return the ids of the tokens that a model lists: by name, or in order, each with its score."""
    if isinstance(listed, list) and all(isinstance(e, list) and e and isinstance(e[0], str) for e in listed):
        return {entry[0]: number for number, entry in reversed(list(enumerate(listed)))}
    if isinstance(listed, dict) and all(map(_is_id, listed.values())):
        return listed
    raise TliError(f"{origin}: expected `vocab` with the id of each token, or a list of tokens, found something else")


def _is_id(value: Any) -> bool:
    return type(value) is int and value >= 0


def _unknown(model: Mapping[str, Any]) -> dict[str, str]:
    named, number, listed = model.get("unk_token"), model.get("unk_id"), model.get("vocab")
    if isinstance(listed, list) and _is_id(number) and int(str(number)) < len(listed):
        named = listed[int(str(number))][0]
    return {"unk": named} if isinstance(named, str) else {}


def _convention(model: Mapping[str, Any], parts: Collection[Mapping[str, Any]]) -> tuple[Decode, bool]:
    """Return what reads the tokens, and whether they are marked where words end."""
    kinds = {kind for part in parts if isinstance(kind := part.get("type"), str)}
    prefix, suffix = model.get("continuing_subword_prefix"), model.get("end_of_word_suffix")
    decode: Decode = plain
    if "ByteLevel" in kinds:
        decode = of_bytes
    elif "Metaspace" in kinds or any(META in (part.get("content"), _pattern(part)) for part in parts):
        decode = of_pieces
    elif isinstance(prefix, str) and prefix:
        decode = of_words(prefix)
    elif not isinstance(suffix, str) and kinds & _AT_SPACES and not model.get("merges"):
        decode = of_words("")
    if isinstance(suffix, str) and suffix:
        return of_endings(decode, suffix), True
    return decode, False


def _pattern(part: Mapping[str, Any]) -> Any:
    pattern = part.get("pattern")
    return pattern.get("String") if isinstance(pattern, dict) else None
