"""Kernels of TensorFlow, Keras and Flax, `(*places, in, out)`, read as weights, `(out, in, *places)`.

Sources: `keras/src/layers`, `flax/linen` (`linear.py`, `normalization.py`, `attention.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from math import prod

from tli_cli.checkpoints.checkpoint import Checkpoint
from tli_cli.checkpoints.in_files import InFiles, Part
from tli_cli.checkpoints.layouts.dialects import (
    DEPTHWISE,
    KERNEL,
    POINTWISE,
    Shapes,
    einsum_axes,
    kernels_among,
    matrices_said,
    paths_of,
    shows_layout,
    speaks_otherwise,
)
from tli_cli.checkpoints.layouts.joined import put_together
from tli_cli.checkpoints.names import clean_names

NORMS = {"gamma": "weight", "scale": "weight", "beta": "bias", "moving_mean": "running_mean",
         "moving_variance": "running_var", "mean": "running_mean", "var": "running_var"}  # fmt: skip
NORMED = {"beta", "bias", "moving_mean", "mean"}
"""One of these stands beside the scale of a norm, and not beside other vectors called so."""
TABLES = {"embedding", "embeddings"}
TURNED = {"relative_attention_bias", "rel_embedding"}
"""Tables of T5 that are `(heads, buckets)` where they stand by themselves (mesh-tensorflow, T5X)."""
HEADED = re.compile(r"(q|k|v|query|key|value)(_proj)?")
READ = "its kernels are (in, out), as TensorFlow, Keras and Flax have them, and are read as weights (out, in)"


def upright(checkpoint: Checkpoint, expected: Collection[str] = ()) -> Checkpoint | None:
    """Return `checkpoint` with weights instead of kernels; None where it holds no kernels, where they are `expected`,
    or where the shapes contradict that layout."""
    own = [spec.name for spec in checkpoint.tensors]
    kernels = kernels_among(own)
    if not kernels or not kernels.isdisjoint(expected):
        return None
    shapes = matrices_said(dict(zip(paths_of(own), (spec.shape for spec in checkpoint.tensors), strict=True)))
    if len(shapes) < len(own) or not _holds_kernels(shapes):
        return None
    if speaks_otherwise(own) and not shows_layout(shapes):
        return None
    names = [_name(path, shapes) for path in shapes]
    if len(set(names)) < len(names):
        return None
    clean = {said: name for name, said in clean_names(names, expected).items()}
    layouts = {
        clean[name]: _in_files(checkpoint.stored_names[stored], path, shapes)
        for name, stored, path in zip(names, own, shapes, strict=True)
    }
    read = put_together(checkpoint, layouts, layouts)
    read.readings, read.channels_last = (*checkpoint.readings, READ), True
    return read


def _holds_kernels(shapes: Shapes) -> bool:
    """Tell whether matrices are called kernels, each as long at its end as the bias beside it."""
    kernels = {path: shape for path, shape in shapes.items() if path.endswith((f".{KERNEL}", f".{DEPTHWISE}"))}
    biases = {path: shapes.get(f"{path.removesuffix(KERNEL)}bias", ()) for path in kernels}
    weights = any(len(shape) > 1 for path, shape in shapes.items() if path.endswith(".weight"))
    fits = all(
        len(shape) > 1
        and (shape[-len(biases[path]) or len(shape) :] == biases[path] or _heads_first(shape, biases[path]))
        for path, shape in kernels.items()
    )
    return bool(kernels) and fits and not weights


def _name(path: str, shapes: Shapes) -> str:
    module, _, last = path.rpartition(".")
    if last in (DEPTHWISE, POINTWISE):
        alone = f"{module}.{POINTWISE}" not in shapes
        return f"{module}.weight" if alone else f"{module}.{last.removesuffix('_kernel')}.weight"
    if last == "bias" and f"{module}.{POINTWISE}" in shapes:
        return f"{module}.pointwise.bias"
    if module and (last == KERNEL or (last in TABLES and len(shapes[path]) == 2)):
        return f"{module}.weight"
    if last in NORMS and any(f"{module}.{other}" in shapes for other in NORMED - {last}):
        return f"{module}.{NORMS[last]}"
    return path


def _in_files(stored: str, path: str, shapes: Shapes) -> InFiles:
    """Return what stands in the file for the weight that the kernel called `path` is."""
    shape, axes = shapes[path], _axes(path, shapes)
    order = [d for axis in axes for d in axis]
    strides = {d: prod(shape[later] for later in order[place + 1 :]) for place, d in enumerate(order)}
    whole = tuple(prod(shape[d] for d in axis) for axis in axes)
    return InFiles(whole, (Part(stored, shape, 0, tuple(strides[d] for d in range(len(shape)))),))


def _axes(path: str, shapes: Shapes) -> list[tuple[int, ...]]:
    """Return which axes of a tensor of the file make each axis of the weight."""
    shape, (module, _, last) = shapes[path], path.rpartition(".")
    every = tuple(range(len(shape)))
    if last in (KERNEL, POINTWISE) and len(shape) > 1:
        inner, outer = einsum_axes(path, shape) or _dense(path, shapes) or (every[-2:-1], every[-1:])
        return [outer, inner, *((d,) for d in every if d not in (*inner, *outer))]
    if last == DEPTHWISE:
        return [every[-2:], (), *((d,) for d in every[:-2])]
    if last in TURNED and len(shape) == 2:
        return [(1,), (0,)]
    is_vector = last in NORMS and sum(size > 1 for size in shape) == 1
    if is_vector or (last == "bias" and len(shape) > 1 and f"{module}.{KERNEL}" in shapes):
        return [every]
    return [(d,) for d in every]


def _dense(path: str, shapes: Shapes) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return which axes a kernel of three takes and gives where two are heads; None for a convolution."""
    shape, module = shapes[path], path.removesuffix(f".{KERNEL}")
    if len(shape) != 3:
        return None
    if _makes_heads(module, shapes):
        return ((1,), (0, 2)) if _heads_first(shape, shapes.get(f"{module}.bias", ())) else ((0,), (1, 2))
    beside = [other for other in _beside(module, shapes) if _makes_heads(other, shapes)]
    heads = {shapes.get(f"{other}.bias") or shapes[f"{other}.{KERNEL}"][1:] for other in beside}
    return ((0, 1), (2,)) if shape[:2] in heads else None


def _heads_first(shape: tuple[int, ...], bias: tuple[int, ...]) -> bool:
    """Tell whether a kernel is `(heads, in, width)`, as the bias beside it shows."""
    return len(shape) == 3 and bias == (shape[0], shape[2]) != shape[1:]


def _makes_heads(module: str, shapes: Shapes) -> bool:
    shape, bias = shapes[f"{module}.{KERNEL}"], shapes.get(f"{module}.bias", ())
    named = HEADED.fullmatch(module.rpartition(".")[2].lower()) is not None
    return len(shape) == 3 and (len(bias) == 2 or (named and not bias))


def _beside(module: str, shapes: Shapes) -> Iterator[str]:
    holder = module.rpartition(".")[0]
    for path in shapes:
        other, _, last = path.rpartition(".")
        if last == KERNEL and other != module and other.rpartition(".")[0] == holder:
            yield other
