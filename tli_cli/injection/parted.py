"""Results that stand in the output in parts, as the target's own files have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.in_files import Layouts, Part
from tli_cli.checkpoints.writing.contents import Content, Held
from tli_cli.dtypes import bits, byte_count

Produce = Callable[[TensorSpec], Content]


@dataclass(frozen=True)
class _Slice:
    """The bytes of `content` from `first` on, `length` of them."""

    content: Content
    first: int
    length: int

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        self.content.fill(self.first + start, out)


class Parted:
    """What is written in place of `specs`: the parts of those that stand in files in parts, and the others."""

    def __init__(self, specs: Sequence[TensorSpec], layouts: Layouts, produce: Produce) -> None:
        self._produce = produce
        self._parts: dict[str, tuple[TensorSpec, Part]] = {}
        self._last: tuple[str, Content] | None = None
        self.specs = tuple(part for spec in specs for part in self._cut(spec, layouts))

    def produce(self, spec: TensorSpec) -> Content:
        """Return the bytes of `spec`, one of `specs`."""
        if spec.name not in self._parts:
            return self._produce(spec)
        whole, part = self._parts[spec.name]
        if self._last is None or self._last[0] != whole.name:
            self._last = whole.name, self._produce(whole)
        content = self._last[1]
        if part.in_one_piece:
            return _Slice(content, part.offset * bits(spec.dtype) // 8, byte_count(spec.shape, spec.dtype))
        if not isinstance(content, Held):
            content = Held(_read(content))
            self._last = whole.name, content
        return Held(_picked(content.data, part, bits(spec.dtype) // 8))

    def _cut(self, spec: TensorSpec, layouts: Layouts) -> tuple[TensorSpec, ...]:
        found = layouts.get(spec.name)
        if found is None:
            return (spec,)
        self._parts |= {part.name: (spec, part) for part in found.parts}
        tied = layouts.get(spec.tied_to or "")
        tied_to = tied.parts[0].name if tied is not None and tied.is_whole else spec.tied_to
        return tuple(replace(spec, name=part.name, shape=part.shape, tied_to=tied_to) for part in found.parts)


def _read(content: Content) -> memoryview:
    data = memoryview(bytearray(content.length))
    content.fill(0, data)
    return data


def _picked(data: memoryview, part: Part, size: int) -> memoryview:
    """Return the elements of `part`, of `size` bytes each."""
    import numpy as np

    values = np.frombuffer(data, dtype=f"V{size}")[part.offset :]
    strides = [step * size for step in part.stride]
    picked = np.lib.stride_tricks.as_strided(values, part.shape, strides, writeable=False)
    return memoryview(np.ascontiguousarray(picked).view(np.uint8).reshape(prod(part.shape) * size).data)
