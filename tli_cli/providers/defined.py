"""What a file of Python defines, found without running it."""

from __future__ import annotations

import ast
from pathlib import Path


def defined_in(path: Path) -> list[str]:
    """Return the names of the classes, modules first, then of the functions, that a file of Python defines, without
    running it."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):
        return []
    defined = [node for node in body if isinstance(node, ast.ClassDef)]
    classes = [node.name for node in sorted(defined, key=lambda node: not _is_module(node))]
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    return [name for name in (*classes, *functions) if not name.startswith("_")]


def _is_module(node: ast.ClassDef) -> bool:
    """Tell whether a class seems to be a module by what it derives from."""
    return any(ast.unparse(base).endswith("Module") for base in node.bases)
