"""Changes that a blind change of bytes would hardly find: values of JSON replaced, moved, repeated, removed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Mutator = Callable[[bytes, int, int], bytes]

ODD = (None, True, -1, 0, 1, 2, 3, 4, 7, 1 << 31, 1 << 62, 1 << 70, 0.5, -1e300, "", "x", [], {}, "\ud800")


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what holds each value inside `value`, and its key or index there."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def change(value: Any, draw: random.Random) -> None:
    """Change one value inside `value`, in place."""
    known = list(places(value))
    if not known:
        return
    holder, key = draw.choice(known)
    how = draw.randrange(5)
    if how == 0:
        holder[key] = draw.choice(ODD)
    elif how == 1:  # something that stands elsewhere, so of a plausible form
        other, place = draw.choice(known)
        holder[key] = json.loads(json.dumps(other[place]))
    elif how == 2 and isinstance(holder[key], int | float):
        holder[key] = holder[key] + draw.choice((-2, -1, 1, 2))
    elif how == 3:
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(key, json.loads(json.dumps(holder[key])))


def json_mutator(data: bytes, max_size: int, seed: int) -> bytes:
    """Return JSON with a few values changed; what is no JSON, and every fourth input, with bytes changed."""
    import atheris

    draw = random.Random(seed)
    try:
        value = json.loads(data)
        if not isinstance(value, dict | list) or draw.randrange(4) == 0:
            raise ValueError
        for _ in range(draw.randint(1, 3)):
            change(value, draw)
        result = json.dumps(value).encode()
    except (ValueError, RecursionError):
        result = atheris.Mutate(data, max_size)
    return result if len(result) <= max_size else data


MUTATORS: dict[str, Mutator] = {"plan": json_mutator, "index": json_mutator, "vocabulary": json_mutator}
