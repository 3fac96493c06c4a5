"""Initial values: constants, and what a model's own constructor runs on a tensor, each tensor drawn on its own from one
seed."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import InitialValue
from tli_cli.errors import TliError

if TYPE_CHECKING:
    import torch

_DRAWS = ("normal_", "uniform_", "bernoulli_", "exponential_")
_ARITHMETIC = ("zero_", "fill_", "mul_", "add_", "sub_", "div_", "neg_", "exp_", "log_", "log1p_", "sqrt_", "clamp_",
               "erfinv_", "pow_", "abs_", "tanh_", "clamp_min_", "clamp_max_", "expm1_", "reciprocal_",
               "rsqrt_")  # fmt: skip


def number_of(name: str) -> float | None:
    """Return the number that the start called `name` fills a tensor with: that of the name; None if it does no such
    thing."""
    try:
        number = float({"zeros": "0", "ones": "1"}.get(name, name))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


OPEN = 3.0
"""What opens a gate by 0.95 of the way, where it can still learn to close."""
GATES = {"lstm": (OPEN, -OPEN, 0.0, OPEN), "gru": (0.0, -OPEN, 0.0), "rnn": (0.0,)}
"""The biases of a recurrent layer's parts, in torch's order, that passes on nearly what it gets: by its third part, or
its only one."""


def _stacked_start(name: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Return the weights of a recurrent layer's input `(parts * width, in)`, or their biases, by its kind; the one that
    runs in reverse passes on the last of what it gets."""
    import torch

    gates = torch.tensor(GATES[name.partition("-")[0]], dtype=dtype)
    width, part = shape[0] // len(gates), min(2, len(gates) - 1)
    if len(shape) == 1:
        return gates.repeat_interleave(width).reshape(tuple(shape))
    value = torch.zeros(tuple(shape), dtype=dtype)
    first = shape[1] - width if name.endswith("-reverse") else 0
    value[part * width : (part + 1) * width, first : first + width] = torch.eye(width, dtype=dtype)
    return value


def constant_start(name: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor | None:
    """Return a tensor of `shape` of one number, or of a layer that passes its input on, `(out, in, *kernel)` or a
    recurrent one's; None if the start called `name` is neither."""
    import torch

    if name.partition("-")[0] in GATES:
        return _stacked_start(name, shape, dtype)
    number = 0.0 if name == "identity" else number_of(name)
    if number is None:
        return None
    value = torch.full(tuple(shape), number, dtype=dtype)
    if name == "identity":
        centre = tuple(size // 2 for size in shape[2:])
        for i in range(min(shape[0], shape[1])):
            value[(i, i, *centre)] = 1.0
    return value


DRAWN = ("kaiming", "xavier")
"""The ways other than its constructor's in which a plan may draw a weight."""


def drawn_start(name: str, shape: Sequence[int]) -> InitialValue:
    """Return what draws a weight of `shape` `(out, in, *kernel)` as He et al. (arXiv 1502.01852) or as Glorot and
    Bengio (AISTATS 2010) do."""
    fan_in, fan_out = math.prod(shape[1:]), shape[0] * math.prod(shape[2:])
    return (("normal_", 0.0, math.sqrt(2.0 / max(fan_in if name == "kaiming" else fan_in + fan_out, 1))),)


def replay(operations: InitialValue, shape: Sequence[int], dtype: str, seed: int, name: str) -> torch.Tensor:
    """Return a tensor of `shape` and `dtype` as `operations` make it, rounded to float32 first.

    The values follow from `seed` and `name` alone, whatever else is drawn before it and however many threads run.
    """
    import torch

    from tli_cli.seeding import generator_for

    generator = generator_for(seed, name)
    if operations and operations[0][0] == "data":
        return _data(operations[0], shape).to(getattr(torch, dtype))
    # In float32 one draw in 2 ** 24 lies on the edge, which the inverse error function sends to infinity.
    exact = any(step[0] in ("erfinv_", "trunc_normal_") for step in operations)
    values = torch.zeros(tuple(shape), dtype=torch.float64 if exact else torch.float32)
    with torch.no_grad():
        for step in operations:
            _run(values, step, generator, name)
    return values.to(torch.float32).to(getattr(torch, dtype))


def _run(values: torch.Tensor, step: tuple[Any, ...], generator: torch.Generator, name: str) -> None:
    operation, arguments = step[0], step[1:]
    if operation == "at":
        ranges, *inner = arguments
        part = values[tuple(slice(start, stop) for start, stop in ranges)]
        _run(part, tuple(inner), generator, name)
    elif operation in _DRAWS:
        getattr(values, operation)(*arguments, generator=generator)
    elif operation in _ARITHMETIC:
        getattr(values, operation)(*arguments)
    elif operation in _INITIALISERS:
        _INITIALISERS[operation](values, arguments, generator)
    else:
        raise TliError(
            f"{name}: unknown initial operation {operation!r}; the file was written by a newer tli, or is damaged"
        )


def _trunc_normal(values: torch.Tensor, arguments: Sequence[float], generator: torch.Generator) -> None:
    """Draw from the normal distribution between `low` and `high` by the inverse of its cumulative distribution."""
    mean, std, low, high = (*arguments, *(0.0, 1.0, -2.0, 2.0)[len(arguments) :])
    below, above = (math.erf((bound - mean) / (std * math.sqrt(2.0))) for bound in (low, high))
    values.uniform_(below, above, generator=generator).erfinv_().mul_(std * math.sqrt(2.0)).add_(mean).clamp_(low, high)


def _orthogonal(values: torch.Tensor, arguments: Sequence[float], generator: torch.Generator) -> None:
    import torch

    torch.nn.init.orthogonal_(values, arguments[0] if arguments else 1.0, generator=generator)


def _dirac(values: torch.Tensor, arguments: Sequence[Any], generator: torch.Generator) -> None:
    import torch

    torch.nn.init.dirac_(values, *arguments)


def _eye(values: torch.Tensor, arguments: Sequence[Any], generator: torch.Generator) -> None:
    import torch

    torch.nn.init.eye_(values)


_INITIALISERS: dict[str, Callable[[Any, Sequence[Any], Any], None]] = {
    "trunc_normal_": _trunc_normal, "orthogonal_": _orthogonal, "dirac_": _dirac, "eye_": _eye,
}  # fmt: skip


def stored(tensor: torch.Tensor) -> InitialValue:
    """Return the operation that gives exactly the values of `tensor`: integers by their differences, compressed."""
    import torch

    if tensor.is_floating_point() or tensor.dtype == torch.bool:
        plain, kind = tensor.detach().cpu().contiguous(), str(tensor.dtype).removeprefix("torch.")
        raw = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        flat = tensor.detach().cpu().to(torch.int64).reshape(-1)
        raw, kind = torch.diff(flat, prepend=flat.new_zeros(1)).numpy().astype("<i4").tobytes(), "differences"
    return (("data", kind, base64.b85encode(zlib.compress(raw, 9)).decode()),)


def _data(step: tuple[Any, ...], shape: Sequence[int]) -> torch.Tensor:
    import torch

    raw = bytearray(zlib.decompress(base64.b85decode(step[2])))
    if step[1] == "differences":
        return torch.frombuffer(raw, dtype=torch.int32).to(torch.int64).cumsum(0).reshape(tuple(shape))
    return torch.frombuffer(raw, dtype=getattr(torch, step[1])).reshape(tuple(shape))


def default_initial(kind: str, role: str, shape: Sequence[int]) -> InitialValue:
    """Return what PyTorch's own constructor of a layer of `kind` runs on its tensor of `role`.

    A weight of `(out, in, *kernel)` is uniform within 1 / sqrt(fan in), as a bias is once its layer's fan is known; a
    bias alone starts at zero here.
    """
    if role in ("running_var",) or (kind == "norm" and role == "weight"):
        return (("fill_", 1.0),)
    if kind == "scale":
        return (("fill_", 1.0),)
    if role.endswith(("bias", "running_mean", "num_batches_tracked")) or len(shape) == 0:
        return (("zero_",),)
    if kind == "embedding":
        return (("normal_", 0.0, 1.0),)
    if kind in ("position", "token", "bias_table"):
        return (("trunc_normal_", 0.0, 0.02, -2.0, 2.0),)
    fan_in = math.prod(shape[1:])
    bound = 1.0 / math.sqrt(fan_in) if fan_in and len(shape) > 1 else 0.0
    return (("uniform_", -bound, bound),) if bound else (("zero_",),)
