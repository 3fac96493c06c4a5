"""The arguments behind a reference: `NAME?img_size=384&num_classes=10`, or with commas."""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any
from urllib.parse import parse_qsl

COMMA = re.compile(r",(?=[A-Za-z_]\w*=)")
"""A comma before the name of another argument."""


def split_reference(reference: str) -> tuple[str, dict[str, Any]]:
    """Return what stands before `?`, and the arguments behind it, numbers and the like read as Python literals.

    >>> split_reference("timm:vit_tiny_patch16_224?img_size=384&act_layer=silu")
    ('timm:vit_tiny_patch16_224', {'img_size': 384, 'act_layer': 'silu'})
    >>> split_reference("net.py:Net?sizes=(1,2),width=3")[1]
    {'sizes': (1, 2), 'width': 3}
    """
    head, _, query = reference.partition("?")
    parted = COMMA.sub("&", query)
    return head, {name: _literal(value) for name, value in parse_qsl(parted, keep_blank_values=True)}


def _literal(text: str) -> Any:
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text
