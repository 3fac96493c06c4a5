"""Special tokens: which there are, and what each is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tli_cli.vocabularies.vocabulary import ROLES

USUAL = {
    "pad": ("[PAD]", "<pad>", "<|pad|>", "<|padding|>"),
    "unk": ("[UNK]", "<unk>", "<|unk|>"),
    "bos": ("<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "[BOS]"),
    "eos": ("</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>", "[EOS]"),
    "cls": ("[CLS]", "<cls>"),
    "sep": ("[SEP]", "<sep>"),
    "mask": ("[MASK]", "<mask>", "<|mask|>"),
}
"""How tokens of each role are usually written: taken where no configuration says it."""

STANDS_FOR = {"cls": "bos", "bos": "cls", "sep": "eos", "eos": "sep"}
"""The role that serves where one is missing: what begins, and what ends, a text."""


def told(*configurations: Mapping[str, Any]) -> tuple[dict[str, str], set[str]]:
    """Return the roles' tokens that `configurations` name, the first one's before the others', and all tokens that are
    special by them."""
    roles: dict[str, str] = {}
    special: set[str] = set()
    for configuration in configurations:
        for role in ROLES:
            written = content(configuration.get(f"{role}_token"))
            if written:
                roles.setdefault(role, written)
        for _, token, is_special in added(configuration):
            special |= {token} if is_special else set()
        for more in ("additional_special_tokens", "extra_special_tokens"):
            listed = configuration.get(more)
            values = listed.values() if isinstance(listed, dict) else listed if isinstance(listed, list) else ()
            special |= {written for value in values if (written := content(value))}
    return roles, special | set(roles.values())


def added(configuration: Mapping[str, Any]) -> Iterator[tuple[int, str, bool]]:
    """Yield the id of each token that `tokenizer_config.json` adds, how it is written, and whether it is special."""
    listed = configuration.get("added_tokens_decoder")
    for number, value in listed.items() if isinstance(listed, dict) else ():
        written = content(value)
        if written and number.isascii() and number.isdigit():
            yield int(number), written, isinstance(value, dict) and value.get("special") is True


def usual_roles(names: Mapping[str, int]) -> dict[str, str]:
    """Return the roles that those of `names` have which are written as usual."""
    found = ((role, next((name for name in spellings if name in names), "")) for role, spellings in USUAL.items())
    return {role: name for role, name in found if name}


def content(value: Any) -> str:
    """Return how a token is written that a configuration gives as text, or with its properties; empty for none."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""
