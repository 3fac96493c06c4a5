"""Import timm and torchvision where they are installed, whatever way torchvision's own kernels were built."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

from tli_cli.errors import TliError

_KEPT: list[Any] = []
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def import_torchvision() -> ModuleType:
    """Import torchvision; where its compiled operators do not load, declare those that its import needs.

    Nothing but detection's final box filter would call them, and that is never run here.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise _missing("torchvision") from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _OPERATORS:
        library.define(schema)
    _KEPT.append(library)
    return importlib.import_module("torchvision")


def import_timm() -> ModuleType:
    """Import timm, and before it torchvision, which timm imports itself where it is there."""
    with suppress(TliError):
        import_torchvision()
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise _missing("timm") from error


def _missing(library: str) -> TliError:
    return TliError(
        f"{library} is not installed: it is needed to build this model now; install it with "
        f"`pip install {library}`, or use a name that the catalogue holds (`tli archs`)"
    )
