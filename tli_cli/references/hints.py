"""What to say of a reference that looks like a file's and names none, or names code without a class in it."""

from __future__ import annotations

import ast
import os
import re
from itertools import islice
from pathlib import Path

from tli_cli.checkpoints.directory import is_checkpoint_name
from tli_cli.registry import did_you_mean


def _defined_in(path: Path) -> list[str]:
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


_HUB = re.compile(r"(?:https://huggingface\.co/|hf:/{0,2}|hf-hub:)?(?P<owner>[A-Za-z][\w.-]*)/(?P<name>[\w.-]+)")
"""What a model is called on the hub of Hugging Face."""
_ADDRESS = re.compile(r"\w[\w-]+:.*/.+")
_LOOKED_AT = 10_000
"""At most so many files beside it are held against its name."""


def classes_wanted(path: Path) -> str:
    """Return what is said of a file of code of which no class is named."""
    names = _defined_in(path)
    told = f"it defines {', '.join(names[:8])}" if names else "such as Net"
    return f"{path}: name a class or function in it, {path}:{names[0] if names else 'Net'}; {told}"


def missing_hint(text: str) -> str:
    """Return what may have been meant by `text`, which names no file, behind a semicolon; empty where nothing tells."""
    path = Path(text)
    if text == "-":
        return "; no checkpoint is read from standard input: write it to a file, and name that"
    if ".py:" in text:
        return "; a class or function of yours is named path/to/net.py:Net, or 'path/to/net.py:Net(64, act=\"gelu\")'"
    if path.parts[:1] == ("~",):
        return f"; ~ is for shells to expand: name {path.expanduser()}"
    if text.startswith("file://"):
        return f"; name the path alone: {text.removeprefix('file://')}"
    if Path(f"{text}.index").is_file():
        return f"; {path.name}.index beside it is of TensorFlow, and name that for what to do"
    if hint := did_you_mean(path.name, _beside(path)):
        return f"; {hint}"
    if is_checkpoint_name(path.name) and ":" not in text and not path.parent.exists():
        return f"; there is no directory {path.parent}"
    if (match := _HUB.fullmatch(text)) and not path.parent.is_dir():
        return _of_hub(match["owner"], match["name"])
    return "; nothing is downloaded: name a file here" if _ADDRESS.fullmatch(text) else ""


def _of_hub(owner: str, name: str) -> str:
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    try:
        here = sorted((cache / f"models--{owner}--{name}" / "snapshots").iterdir(), key=lambda p: p.stat().st_mtime)
    except OSError:
        here = []
    if here:
        return f"; nothing is downloaded, but a model called so is in Hugging Face's cache: name {here[-1]}"
    return (
        "; nothing is downloaded: name a file or directory here; a model of Hugging Face's hub comes with "
        f"`hf download {owner}/{name} --local-dir {name}`"
    )


def _beside(path: Path) -> list[str]:
    try:
        with os.scandir(path.parent) as entries:
            return [entry.name for entry in islice(entries, _LOOKED_AT)]
    except (OSError, ValueError):
        return []
