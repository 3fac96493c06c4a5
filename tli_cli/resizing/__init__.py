"""Strategies that give one tensor another shape, each treating the tensor alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tli_cli.registry import Registry

if TYPE_CHECKING:
    import torch


class Resizer(Protocol):
    """The signature that every resizer shares."""

    def __call__(
        self,
        tensor: torch.Tensor,
        shape: tuple[int, ...],
        *,
        generator: torch.Generator,
        initial: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return `tensor` in `shape`, in its own dtype; `tensor` itself if it has that shape already.

        `initial` holds the target's own starting values: methods that place the source inside a larger target keep
        them around it. Without `initial` those places are drawn from the source's values with `generator`.
        """
        ...


RESIZERS: Registry[Resizer] = Registry(
    "method",
    {
        "combo": "tli_cli.resizing.boxes:combo",
        "crop": "tli_cli.resizing.boxes:crop",
        "resize": "tli_cli.resizing.boxes:resize",
        "select": "tli_cli.resizing.chosen:select",
        "tile": "tli_cli.resizing.chosen:tile",
        "magnitude": "tli_cli.resizing.chosen:magnitude",
        "fna": "tli_cli.resizing.boxes:fna",
        "dpiat": "tli_cli.resizing.boxes:crop",
    },
)

__all__ = ["RESIZERS", "Resizer"]
