"""Trace a model on the `meta` device: its layers, execution graph and coupled axes, with no arithmetic done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.decoding import has_controls
from tli_cli.describe.failures import told
from tli_cli.describe.tracing.assemble import assemble
from tli_cli.describe.tracing.borders import note_convolution, note_edge
from tli_cli.describe.tracing.constants import as_mask, summary
from tli_cli.describe.tracing.elementwise import anything
from tli_cli.describe.tracing.filling import FILLS
from tli_cli.describe.tracing.meta import without_values
from tli_cli.describe.tracing.norm_steps import note_steps
from tli_cli.describe.tracing.numbers import note_along, note_numbers, note_outputs, note_uniform
from tli_cli.describe.tracing.operations import COMPUTE, CONVOLUTIONS, PRODUCTS
from tli_cli.describe.tracing.reach import reach_of
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value
from tli_cli.describe.tracing.views import VIEWS
from tli_cli.describe.tracing.weighing import Sides
from tli_cli.describe.tracing.written_activations import curves_given, note_curve
from tli_cli.errors import TliError, TraceError

RULES = {**FILLS, **COMPUTE, **VIEWS}


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Pass every aten operation on and tell the recording of it."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recording, self._sides = recording, Sides(recording)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._overloadpacket.__name__
        arguments = [*args, *(kwargs or {}).values()]
        given = [t for t in tree_flatten((args, dict(kwargs or {})))[0] if isinstance(t, torch.Tensor)]
        self._recording.use(given)
        self._follow_constants(func, args, kwargs or {}, given, out)
        noted, made = len(self._recording.numbers), len(self._recording.nodes)
        values = [self._recording.get(tensor) for tensor in given]
        curves = curves_given(self._recording, func, given)
        rule = RULES.get(name)
        if rule is None or name in PRODUCTS:
            note_numbers(self._recording, name, args, kwargs or {}, out)
        if rule is not None:
            rule(self._recording, arguments, out)
        else:
            anything(self._recording, name, arguments, out)
            note_along(self._recording, func, args, kwargs or {})
        note_edge(self._recording, name, args, out)
        if name in CONVOLUTIONS:
            note_convolution(self._recording, args, out)
        self._sides.follow(name, arguments, out)
        note_uniform(self._recording, name, arguments, out)
        numbers = range(noted, len(self._recording.numbers))
        self._recording.readings.note(name, given, out, numbers)
        self._recording.edges.follow(self._recording.nodes, made, values, numbers)
        note_steps(self._recording, name, args, values, numbers, out)
        note_curve(self._recording, func, args, kwargs or {}, curves, out, numbers)
        return out

    def _follow_constants(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], given: Sequence[torch.Tensor], out: Any
    ) -> None:
        rec = self._recording
        known = any(rec.get(tensor) is not None for tensor in given)
        rec.constants.follow(func, args, kwargs, out, known)
        for tensor in given if known else ():
            if rec.get(tensor) is None and tensor.numel() > 1 and (values := rec.constants.of(tensor)) is not None:
                home = rec.maker(rec.first_made(given))
                rec.acting.append((home, summary(*as_mask(func._overloadpacket.__name__, args, values))))


class _KnownIndices(TorchFunctionMode):
    """Keep the numbers of a list that a tensor is indexed by, which a tensor on `meta` would lose."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__getitem__:
            whole = args[1] if isinstance(args[1], tuple) else (args[1],)
            lists = [isinstance(i, list) and bool(i) and all(type(n) is int for n in i) for i in whole]
            known = [torch.tensor(i, device="cpu") if held else i for i, held in zip(whole, lists, strict=True)]
            args = (args[0], tuple(known))
        return func(*args, **(kwargs or {}))


def state_specs(model: nn.Module) -> tuple[TensorSpec, ...]:
    """Return the entries of the state dict of `model` in definition order, ties known by identity; raise `TliError`
    where no file could hold one of their names."""
    parameters = {id(p) for p in model.parameters()}
    first: dict[int, str] = {}
    specs = []
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, torch.Tensor):
            continue
        if has_controls(name):
            raise TliError(f"{type(model).__name__}: the name {name[:60]!a} holds control characters; rename it")
        tied = first.setdefault(id(tensor), name)
        dtype = str(tensor.dtype).removeprefix("torch.")
        specs.append(
            TensorSpec(name, tuple(tensor.shape), dtype, None if tied == name else tied, id(tensor) not in parameters)
        )
    return tuple(specs)


def _leaf_outputs(out: Any) -> list[torch.Tensor]:
    if isinstance(out, torch.Tensor):
        return [out]
    if isinstance(out, Mapping):
        return [t for item in out.values() for t in _leaf_outputs(item)]
    if isinstance(out, (list, tuple)):
        return [t for item in out for t in _leaf_outputs(item)]
    return []


def trace(
    model: nn.Module,
    args: Sequence[Any],
    *,
    kwargs: Mapping[str, Any] | None = None,
    constants: Mapping[str, torch.Tensor] | None = None,
    origin: str = "",
) -> Architecture:
    """Return the architecture of `model`, run once in evaluation mode on `args` and `kwargs` (tensors on `meta`).

    `constants` are the values of buffers, by name, that are no part of its state.

    What fails behind the last layer, as what sorts out boxes by their values, does not matter.

    Raises:
        TraceError: the model cannot be run on the `meta` device with this input.
    """
    recording = _begun(model, constants or {})
    for tensor in _leaf_outputs([*args, *(kwargs or {}).values()]):
        _put_input(recording, tensor)
    outputs = _run(model, recording, args, kwargs or {}, origin)
    made_of_inputs = [v for v in outputs if v.node >= 0 and v.dims]
    note_outputs(recording, made_of_inputs)
    return assemble(recording, state_specs(model), made_of_inputs, origin)


def _begun(model: nn.Module, constants: Mapping[str, torch.Tensor]) -> Recording:
    """Return a recording that knows the model's tensors, and the values of its buffers in `constants`."""
    recording = Recording()
    recording.buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if isinstance(tensor, torch.Tensor) and recording.get(tensor) is None:
            dims = tuple(recording.table.leaf(size) for size in tensor.shape)
            recording.parameter_dims[name] = dims
            origins = tuple(frozenset({(name, d)}) for d in range(tensor.ndim))
            recording.put(tensor, Value(dims, names=(name,), origins=origins))
    for name, buffer in model.named_buffers():
        if buffer.layout != torch.strided:
            continue  # a sparse one has no storage to write into
        recording.note_blank(buffer)  # such as a cache of keys, which holds what is written into it
        if name in constants:
            recording.constants.put(buffer, constants[name])
    return recording


def _run(
    model: nn.Module, recording: Recording, args: Sequence[Any], kwargs: Mapping[str, Any], origin: str
) -> list[Value]:
    """Return the outputs of `model`, run once; those of its last layers where what is behind them fails."""
    training = model.training
    model.eval()
    told_that_traced = without_values() if all(p.is_meta for p in model.parameters()) else nullcontext()
    try:
        with reach_of(model) as reach, torch.no_grad(), told_that_traced, _Recorder(recording), _KnownIndices():
            made = _leaf_outputs(model(*args, **kwargs))
            recording.forgotten |= recording.readings.unread(made)
            return [value for value in map(recording.get, made) if value is not None]
    except Exception as error:
        if not reach.is_whole:
            said = told(error)
            raise TraceError(f"{origin or type(model).__name__}: cannot be run on the meta device: {said}") from error
        return recording.ends()
    finally:
        model.train(training)


def _put_input(recording: Recording, tensor: torch.Tensor) -> None:
    table = recording.table
    image = tensor.ndim >= 4 and tensor.is_floating_point()
    dims = tuple(
        table.leaf(size, "batch" if d == 0 else "input" if (d == 1 and image) else "grid")
        for d, size in enumerate(tensor.shape)
    )
    if tensor.ndim in (2, 3) and tensor.is_floating_point():
        dims = (*dims[:-1], table.leaf(tensor.shape[-1], "input"))
    recording.batch = tensor.shape[0] if tensor.ndim else 1
    recording.put(tensor, Value(dims, recording.node("input", ())))
