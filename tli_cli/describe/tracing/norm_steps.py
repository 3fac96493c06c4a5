"""Which operations a value has been through since the last layer, activation or join: whether they are a norm's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tli_cli.architecture import JOINED
from tli_cli.describe.tracing.operation_names import UNSEEN
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value

SQUARE = "square"
SQUARES = (SQUARE, "var", "var_mean", "std", "linalg_vector_norm")
OF_NORMS = Counter({**dict.fromkeys(SQUARES, 1), "mean": 1, "sum": 1, "sqrt": 1, "rsqrt": 1, "reciprocal": 1})
"""Operations by which a value becomes the scale that a norm divides it by, and how often."""
FREE = ("add", "mul", "div", "clamp_min", "clamp", "maximum")
"""Operations whose numbers, where they count, are noted apart."""
LONGEST = 24


def note_steps(
    rec: Recording, name: str, args: Sequence[Any], given: Sequence[Value | None], numbers: Iterable[int], out: Any
) -> None:
    """Add `name`, for which `numbers` were noted, to the steps of what it makes of `given`, unless it makes a new
    node."""
    result = out[0] if isinstance(out, (list, tuple)) and out else out
    value = rec.get(result)
    if value is None or name in UNSEEN:
        return
    for at, taken in enumerate(given):
        for parameter in taken.names if taken is not None and taken.node < 0 else ():
            start = sum(tensor.numel() for tensor in args[0][:at]) if name == JOINED else at
            rec.worked[parameter].append(f"{name.rstrip('_')} {start}")
    if value.node < 0:
        return
    known = [v for v in given if v is not None and v.node == value.node]
    if not known:
        return
    longest = max((v.chain for v in known), key=len)
    chain = (*longest, _step(name.rstrip("_"), args)) if len(longest) < LONGEST else ()
    steps = frozenset(numbers).union(*(v.steps for v in known))
    added = _added_to_variance(name.rstrip("_"), args, longest)
    epsilon = next((e for e in (added, *(v.epsilon for v in known)) if e is not None), None)
    gain = _gain(name.rstrip("_"), args, known)
    rec.put(result, replace(value, chain=chain, steps=steps, epsilon=epsilon, gain=gain))


def _gain(name: str, args: Sequence[Any], known: Sequence[Value]) -> float:
    """Return by what the result of `name` is multiplied, where that goes through roots and squares."""
    own, number = known[0].gain, args[1] if len(args) > 1 and isinstance(args[1], (int, float)) else None
    other = known[1].gain if len(known) > 1 else float(number) if number is not None else 1.0
    powers = {SQUARE: 2.0, "sqrt": 0.5, "rsqrt": -0.5, "reciprocal": -1.0}
    step = _step(name, args)
    if step in powers and own > 0:
        return float(own ** powers[step])
    return own * other if name == "mul" else own / (other or 1.0) if name == "div" else own


def _added_to_variance(name: str, args: Sequence[Any], chain: Sequence[str]) -> float | None:
    """Return what is added to a mean of squares before its root is taken, if that is what happens."""
    number = args[1] if len(args) > 1 and isinstance(args[1], (int, float)) else None
    squared = any(step in SQUARES[:3] for step in chain) and not {"sqrt", "rsqrt"}.intersection(chain)
    return number if name == "add" and squared else None


def _step(name: str, args: Sequence[Any]) -> str:
    if name == "pow" and isinstance(args[1], (int, float)):
        return {2: SQUARE, 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}.get(args[1], name)
    return SQUARE if name == "mul" and args[0] is args[1] else name


def steps_of_norm(scaled: Value, scale: Value) -> frozenset[int] | None:
    """Return which numbers were noted while `scale` was made of what it scales; None if it is no norm's."""
    shared = 0
    while shared < min(len(scaled.chain), len(scale.chain)) and scaled.chain[shared] == scale.chain[shared]:
        shared += 1
    made = Counter(step for step in scale.chain[shared:] if step not in FREE)
    if scaled.node != scale.node or made - OF_NORMS or sum(made[step] for step in SQUARES) > 1:
        return None
    return scaled.own | (scale.steps - scaled.steps)
