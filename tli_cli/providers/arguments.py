"""The arguments behind a reference: `NAME?img_size=384&num_classes=10`."""

from __future__ import annotations

from ast import literal_eval
from typing import Any
from urllib.parse import parse_qsl


def split_reference(reference: str) -> tuple[str, dict[str, Any]]:
    """Return what stands before `?`, and the arguments behind it, numbers and the like read as Python literals.

    >>> split_reference("timm:vit_tiny_patch16_224?img_size=384&act_layer=silu")
    ('timm:vit_tiny_patch16_224', {'img_size': 384, 'act_layer': 'silu'})
    """
    head, _, query = reference.partition("?")
    return head, {name: _literal(value) for name, value in parse_qsl(query, keep_blank_values=True)}


def _literal(text: str) -> Any:
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text
