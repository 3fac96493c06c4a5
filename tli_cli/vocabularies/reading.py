"""Find the tokeniser of a model and read its vocabulary, with the standard library alone."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tli_cli.checkpoints.files import read_small
from tli_cli.errors import TliError
from tli_cli.vocabularies.assembling import assembled
from tli_cli.vocabularies.conventions import guessed, of_pieces, of_words
from tli_cli.vocabularies.sentencepiece import read_pieces
from tli_cli.vocabularies.specials import added, told, usual_roles
from tli_cli.vocabularies.tokenizer_json import read_tokenizer
from tli_cli.vocabularies.vocabulary import Vocabulary

NAMES = ("tokenizer.json", "tekken.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "spm.model",
         "sentencepiece.bpe.model")  # fmt: skip
"""The files that hold a vocabulary, by preference; files of tiktoken have names of their own."""

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""What lies beside them and says more of special and added tokens."""

_SHIFTED = "sentencepiece.bpe.model"
_MAX = 128 << 20
_SAVE = "save the tokeniser with `save_pretrained`, which writes tokenizer.json"


def find_tokenizer(directory: Path) -> Path | None:
    """Return the file in `directory` that holds a vocabulary, None if there is none."""
    named = (directory / name for name in NAMES)
    return next((p for p in (*named, *sorted(directory.glob("*.tiktoken"))) if p.is_file()), None)


def read_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary of the tokeniser at `path`, a file or a directory that holds one. No code of it is run.

    Raises:
        TliError: there is none, or it cannot be read.
    """
    file = find_tokenizer(path) if path.is_dir() else path
    if file is None:
        raise TliError(f"{path}: expected a tokeniser in the directory ({', '.join(NAMES)}), found none")
    data = read_small(file, _MAX, "a tokeniser")
    beside = [_settings(file.parent / name) for name in SETTINGS[:2]]
    origin = str(file)
    if file.suffix == ".json":
        return _of_json(_json(data, origin), origin, beside)
    if file.suffix == ".txt":
        return _of_lines(_text(data, origin).splitlines(), origin, beside)
    if data[:64].strip() and b" " in data[:64] and (ranks := _ranks(data)) is not None:
        return _of_bytes(ranks, origin, beside)
    return _of_sentencepiece(data, file, beside)


def _of_json(listed: Any, origin: str, beside: list[dict[str, Any]]) -> Vocabulary:
    roles, special = told(*beside)
    if isinstance(listed, dict) and isinstance(listed.get("model"), dict):
        return read_tokenizer(listed, origin, roles, special)
    if isinstance(listed, dict) and isinstance(listed.get("vocab"), list):
        return _of_tekken(listed, origin)
    if not isinstance(listed, dict) or not all(type(number) is int for number in listed.values()):
        raise TliError(f"{origin}: expected a tokeniser, or an object with the id of each token, found something else")
    decode, ends_words = guessed(listed)
    more = _added(Path(origin), beside)
    return assembled(origin, listed, decode, added=more, special=special, roles=roles, ends_words=ends_words)


def _of_lines(lines: list[str], origin: str, beside: list[dict[str, Any]]) -> Vocabulary:
    """Return the vocabulary of a list of tokens; where some go on with words, the others begin them."""
    tokens = {line: number for number, line in reversed(list(enumerate(line.rstrip("\r") for line in lines)))}
    roles, special = told(*beside)
    decode, ends_words = guessed(tokens)
    lowercase = next((b["do_lower_case"] for b in beside if isinstance(b.get("do_lower_case"), bool)), False)
    return assembled(
        origin,
        tokens,
        of_words("##") if "[UNK]" in tokens and "[CLS]" in tokens else decode,
        added=_added(Path(origin), beside),
        special=special,
        roles=roles,
        ends_words=ends_words,
        lowercase=lowercase,
    )


def _of_sentencepiece(data: bytes, file: Path, beside: list[dict[str, Any]]) -> Vocabulary:
    tokens, special, roles = read_pieces(data, str(file))
    more = _added(file, beside)
    if file.name == _SHIFTED or any(tokens.get(name, number) != number for name, number in more.items()):
        raise TliError(f"{file}: the ids of its model are not those of the pieces in this file; {_SAVE}")
    named, also = told(*beside)
    return assembled(str(file), tokens, of_pieces, added=more, special=special | also, roles={**roles, **named})


def _of_bytes(ranks: Mapping[int, bytes], origin: str, beside: list[dict[str, Any]]) -> Vocabulary:
    """Return the vocabulary of a file of tiktoken, with the special tokens that are listed beside it."""
    roles, special = told(*beside)
    more = {name: number for name, number in _added(Path(origin), beside).items() if number not in ranks}
    return Vocabulary(
        origin,
        texts={**ranks, **{number: name.encode() for name, number in more.items() if name not in special}},
        specials={number: name for name, number in more.items() if name in special},
        roles={role: more[name] for role, name in roles.items() if name in more},
    )


def _ranks(data: bytes) -> dict[int, bytes] | None:
    """Return the tokens of a file of tiktoken, a token in base64 and its rank on each line; None if it is no such
    file."""
    ranks: dict[int, bytes] = {}
    try:
        for line in data.splitlines():
            if line.strip():
                token, rank = line.split()
                ranks[int(rank)] = base64.b64decode(token, validate=True)
    except (ValueError, binascii.Error):
        return None
    return ranks


def _of_tekken(listed: Mapping[str, Any], origin: str) -> Vocabulary:
    """Return the vocabulary of Mistral's `tekken.json`: special tokens first, then bytes by rank."""
    try:
        settings, entries = listed["config"], listed["vocab"]
        first = int(settings["default_num_special_tokens"])
        most = int(settings["default_vocab_size"]) - first
        texts = {first + int(e["rank"]): base64.b64decode(e["token_bytes"]) for e in entries if int(e["rank"]) < most}
        named = {int(e["rank"]): str(e["token_str"]) for e in listed.get("special_tokens") or ()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise TliError(f"{origin}: expected the tokens of a tekken tokeniser, found something else") from error
    numbers = {name: number for number, name in named.items()}
    roles = {role: numbers[name] for role, name in usual_roles(numbers).items()}
    return Vocabulary(origin, texts, specials=named, roles=roles)


def _added(file: Path, beside: list[dict[str, Any]]) -> dict[str, int]:
    """Return the tokens that the files beside `file` add to it, with their ids."""
    listed = _settings(file.parent / SETTINGS[2])
    known = {name: number for name, number in listed.items() if type(number) is int}
    return {**{name: number for part in beside for number, name, _ in added(part)}, **known}


def _settings(path: Path) -> dict[str, Any]:
    """Return the settings in the file at `path`; none where it is not there, or cannot be read."""
    try:
        settings = json.loads(read_small(path, _MAX, "a tokeniser's settings")) if path.is_file() else {}
    except (TliError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _json(data: bytes, origin: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TliError(f"{origin}: expected a tokeniser in JSON, found {str(error)[:120]}") from error


def _text(data: bytes, origin: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TliError(f"{origin}: expected one token a line in UTF-8, found other bytes") from error
