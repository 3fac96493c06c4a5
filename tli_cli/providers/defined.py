"""What a file of Python defines, found without running it."""

from __future__ import annotations

import ast
from pathlib import Path


def defined_in(path: Path) -> list[str]:
    """Return the names of the classes, then of the functions, that a file of Python defines, without running it."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):
        return []
    classes = [node.name for node in body if isinstance(node, ast.ClassDef)]
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    return [name for name in (*classes, *functions) if not name.startswith("_")]
