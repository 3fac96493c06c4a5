"""Record what a model's constructor runs on each of its tensors, with the model on the `meta` device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tli_cli.architecture import InitialValue
from tli_cli.describe.tracing.meta import tensors_in

COMPUTED: InitialValue = (("computed",),)
"""Stands for a tensor whose values follow from others by arithmetic that is no chain of elementwise operations."""

_OVERWRITES = {"zero_", "fill_", "normal_", "uniform_", "bernoulli_", "trunc_normal_", "orthogonal_", "dirac_", "eye_",
               "sparse_", "copy_", "exponential_"}  # fmt: skip
_FACTORIES: dict[str, tuple[Any, ...]] = {
    "empty": (), "empty_like": (), "new_empty": (), "empty_strided": (), "new_empty_strided": (),
    "zeros": (("zero_",),), "zeros_like": (("zero_",),), "new_zeros": (("zero_",),),
    "ones": (("fill_", 1.0),), "ones_like": (("fill_", 1.0),), "new_ones": (("fill_", 1.0),),
    "randn": (("normal_", 0.0, 1.0),), "randn_like": (("normal_", 0.0, 1.0),),
    "rand": (("uniform_", 0.0, 1.0),), "rand_like": (("uniform_", 0.0, 1.0),), "eye": (("eye_",),),
}  # fmt: skip
_COPIES = {"clone", "_to_copy", "contiguous", "lift_fresh", "lift_fresh_copy", "to", "type_as"}
_ELEMENTWISE = {"mul", "add", "sub", "div", "neg", "exp", "log", "log1p", "sqrt", "clamp", "erfinv", "pow", "abs",
                "tanh", "clamp_min", "clamp_max", "expm1", "reciprocal", "rsqrt"}  # fmt: skip
_RANDOM = {"normal_", "uniform_", "bernoulli_", "trunc_normal_", "orthogonal_", "sparse_", "exponential_"}
_SKIPPED_ON_META = {"_no_grad_trunc_normal_": "trunc_normal_", "orthogonal_": "orthogonal_", "dirac_": "dirac_",
                    "eye_": "eye_", "sparse_": "sparse_"}  # fmt: skip


@dataclass
class Program:
    """What was run on one storage of `size` elements so far, and whether anything in it was drawn."""

    shape: tuple[int, ...]
    operations: InitialValue = ()
    random: bool = False

    @property
    def computed(self) -> bool:
        """Whether the values cannot be told as a chain of elementwise operations."""
        return "computed" in {step[0] for step in self.operations}


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Log the operations on every tensor that is made while the mode is active, views of it included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._programs: dict[int, Program] = {}
        self._alive: list[Any] = []
        self._patches = _patched_initialisers(self)

    def __enter__(self) -> Recorder:
        self._patches.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)  # type: ignore[no-untyped-call]
        self._patches.__exit__(*exc)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run `func` and log what it did; what only writes values is not run where there are none."""
        name = func.overloadpacket.__name__
        if func._schema.is_mutable and args and isinstance(args[0], torch.Tensor) and _is_stored(args[0]):
            self.in_place(args[0], name, *args[1:], **(kwargs or {}))
            writes_values = name in _OVERWRITES or name.removesuffix("_") in _ELEMENTWISE
            return args[0] if args[0].is_meta and writes_values else func(*args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        for result in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(result, torch.Tensor) and _is_stored(result):
                self._made(result, name, args)
        return out

    def program(self, tensor: torch.Tensor) -> Program | None:
        """Return what is known of the storage of `tensor`, None if it was made where the mode could not see it."""
        return self._programs.get(_key(tensor))

    def in_place(self, tensor: torch.Tensor, name: str, *args: Any, **kwargs: Any) -> None:
        """Log an operation that writes to `tensor`, or to the part of a tensor that it is a view of."""
        program = self.program(tensor)
        if program is None:
            program = self._keep(tensor, Program(tuple(tensor.shape), COMPUTED))
        numbers = tuple(a for a in (*args, *_bounds(name, kwargs)) if isinstance(a, (bool, int, float)))
        others = [self.program(a) for a in args if isinstance(a, torch.Tensor) and _is_stored(a)]
        whole = tensor.numel() == _size(program.shape)
        step = (name, *numbers)
        program.random |= name in _RANDOM or any(o.random for o in others if o)
        if name == "copy_" and whole:
            self._copied(program, args[0], tensor)
        elif any(isinstance(a, torch.Tensor) for a in args) or not _is_simple(args):
            program.operations = COMPUTED
        elif whole:
            program.operations = (step,) if name in _OVERWRITES else (*program.operations, step)
        else:
            ranges = _ranges(tensor, program.shape)
            program.operations = COMPUTED if ranges is None else (*program.operations, ("at", ranges, *step))

    def _copied(self, program: Program, source: torch.Tensor, target: torch.Tensor) -> None:
        known = self.program(source)
        if known is not None and source.shape == target.shape and source.numel() == _size(known.shape):
            program.operations, program.random = known.operations, known.random
        else:
            program.operations, program.random = COMPUTED, known is not None and known.random

    def _made(self, result: torch.Tensor, name: str, args: Any) -> None:
        parents = [parent for parent in tensors_in(args) if _is_stored(parent)]
        if any(_key(result) == _key(parent) for parent in parents):
            return
        shape = tuple(result.shape)
        if name in _FACTORIES:
            operations = _FACTORIES[name]
            self._keep(result, Program(shape, operations, any(step[0] in _RANDOM for step in operations)))
        elif name in ("full", "full_like", "new_full"):
            self._keep(result, Program(shape, (("fill_", float(args[1 if name == "full" else -1])),)))
        else:
            self._keep(result, self._derived(result, name, args, parents))

    def _derived(self, result: torch.Tensor, name: str, args: Any, parents: list[torch.Tensor]) -> Program:
        known = [self.program(parent) for parent in parents]
        random = any(program.random for program in known if program)
        first = known[0] if known else None
        alone = len(parents) == 1 and first is not None and parents[0].numel() == _size(first.shape)
        numbers = tuple(a for a in args[1:] if isinstance(a, (int, float)))
        if alone and first and result.numel() == _size(first.shape) and not first.computed:
            if name in _COPIES:
                return Program(tuple(result.shape), first.operations, random)
            if name in _ELEMENTWISE and args[0] is parents[0] and _is_simple(args[1:]):
                return Program(tuple(result.shape), (*first.operations, (f"{name}_", *numbers)), random)
        return Program(tuple(result.shape), COMPUTED, random)

    def _keep(self, tensor: torch.Tensor, program: Program) -> Program:
        self._alive.append(tensor.untyped_storage())
        self._programs[_key(tensor)] = program
        return program


@contextmanager
def _patched_initialisers(recorder: Recorder) -> Iterator[None]:
    """Log the initialisers of `torch.nn.init` that do nothing at all on the `meta` device, and run them nowhere."""
    spaces = _spaces_of_initialisers()
    saved = [(space, name, space[name]) for space in spaces for name in _SKIPPED_ON_META if name in space]

    def logged(name: str) -> Callable[..., Any]:
        def run(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            numbers = (*args, *(v for v in kwargs.values() if isinstance(v, (int, float))))
            recorder.in_place(tensor, name, *(n for n in numbers if n is not None))
            return tensor

        return run

    for space, name, _ in saved:
        space[name] = logged(_SKIPPED_ON_META[name])
    try:
        yield
    finally:
        for space, name, function in saved:
            space[name] = function


def _spaces_of_initialisers() -> list[dict[str, Any]]:
    """Return where `torch.nn.init`'s functions are called from; transformers keeps a table of them of its own."""
    theirs = getattr(sys.modules.get("transformers.initialization"), "TORCH_INIT_FUNCTIONS", None)
    return [vars(nn.init), theirs] if isinstance(theirs, dict) else [vars(nn.init)]


def initial_values(recorder: Recorder, tensors: Mapping[str, torch.Tensor]) -> dict[str, InitialValue]:
    """Return the recorded operations of each tensor; `COMPUTED` where they are no chain of operations."""
    values = {}
    for name, tensor in tensors.items():
        program = recorder.program(tensor)
        values[name] = program.operations if program is not None and not program.computed else COMPUTED
    return values


def _is_stored(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor has one storage: sparse ones have several."""
    return tensor.layout == torch.strided


def _key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _size(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


def _is_simple(args: Any) -> bool:
    return all(a is None or isinstance(a, (bool, int, float)) for a in args)


def _bounds(name: str, kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the constructor gave by keyword, in the order in which the operation takes it."""
    order = {"clamp_": ("min", "max"), "uniform_": ("from", "to"), "normal_": ("mean", "std")}
    return tuple(kwargs[key] for key in order.get(name, ()) if key in kwargs)


def _ranges(view: torch.Tensor, shape: tuple[int, ...]) -> tuple[tuple[int, int], ...] | None:
    """Return the `(start, stop)` range of each dimension of `shape` that `view` covers, None if it is no box."""
    offset, ranges = int(view.storage_offset()), []
    inner = [_size(shape[d + 1 :]) for d in range(len(shape))]
    extents = _run_extents(view.numel(), shape, inner) if view.is_contiguous() else None
    if extents is None:
        lengths = dict(zip(view.stride(), view.shape, strict=True))
        extents = tuple(lengths.get(stride, 1) for stride in inner)
    for size, stride, extent in zip(shape, inner, extents, strict=True):
        start, offset = divmod(offset, stride)
        if start + extent > size:
            return None
        ranges.append((start, start + extent))
    return tuple(ranges) if _size(extents) == view.numel() and not offset else None


def _run_extents(count: int, shape: tuple[int, ...], inner: list[int]) -> tuple[int, ...] | None:
    """Return the extent in each dimension of a run of `count` elements, None if it is no box."""
    for d, (size, stride) in enumerate(zip(shape, inner, strict=True)):
        if count % stride == 0 and 1 <= count // stride <= size:
            return (*(1 for _ in shape[:d]), count // stride, *shape[d + 1 :])
    return None
