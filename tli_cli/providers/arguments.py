"""The arguments behind a reference: `NAME?img_size=384&num_classes=10`, or with commas, or as a call of a class."""

from __future__ import annotations

import ast
import re
from ast import literal_eval
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from tli_cli.errors import TliError

COMMA = re.compile(r",(?=[A-Za-z_]\w*=)")
"""A comma before the name of another argument."""
CALL = re.compile(r"^([^?(]+:\w[\w.]*)\((.*)\)$")
"""A class or function with arguments in brackets."""


def split_reference(reference: str) -> tuple[str, dict[str, Any]]:
    """Return what stands before `?` or `(`, and the arguments behind it, read as Python literals where they are such.

    Arguments of a call that have no name stand under their places, `"0"`, `"1"`.

    >>> split_reference("timm:vit_tiny_patch16_224?img_size=384&act_layer=silu")
    ('timm:vit_tiny_patch16_224', {'img_size': 384, 'act_layer': 'silu'})
    >>> split_reference("net.py:Net?sizes=(1,2),width=3")[1]
    {'sizes': (1, 2), 'width': 3}
    >>> split_reference("net.py:Net(64, depth=3)")
    ('net.py:Net', {'0': 64, 'depth': 3})

    Raises:
        TliError: what stands in brackets is no list of literals.
    """
    if called := CALL.match(reference):
        return called[1], _arguments(reference, called[2])
    head, _, query = reference.partition("?")
    parted = COMMA.sub("&", query)
    return head, {name: _literal(value) for name, value in parse_qsl(parted, keep_blank_values=True)}


def configured(settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `settings` of a transformers configuration, changed by `arguments`; names of other classes go."""
    renamed = {"num_classes": "num_labels", "in_chans": "num_channels"}
    changed = {**settings, **{renamed.get(name, name): value for name, value in arguments.items()}}
    if isinstance(named := changed.get("architectures"), str):
        changed["architectures"] = [named]
    labels = changed.get("id2label")
    renumbered = isinstance(labels, dict) and len(labels) != changed.get("num_labels", len(labels))
    return {name: value for name, value in changed.items() if not (renumbered and name in ("id2label", "label2id"))}


def _arguments(reference: str, text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"_({text})", mode="eval").body
        if not isinstance(call, ast.Call):
            raise ValueError(text)
        placed = {str(i): literal_eval(value) for i, value in enumerate(call.args)}
        named = {word.arg: literal_eval(word.value) for word in call.keywords if word.arg is not None}
    except (SyntaxError, ValueError) as error:
        raise TliError(
            f"{reference}: expected numbers, texts in quotes, lists and the like between the brackets, as in "
            "net.py:Net(64, act='gelu'); for anything else write a function without arguments and name that"
        ) from error
    return {**placed, **named}


def _literal(text: str) -> Any:
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text
