"""Files whose axes stand in another order than in torch's weights, `(out, in, *places)`, read as those: kernels of
TensorFlow, Keras and Flax, `(*places, in, out)`, and convolutions of MLX, `(out, *places, in)`.

What libraries call such tensors is said in the words of Keras. Sources: `keras/src/layers`, `flax/linen` (`linear.py`,
`normalization.py`, `attention.py`), `tensorflow/contrib/layers` and TF-slim, Haiku's and Sonnet's `linear.py`,
`conv.py` and `batch_norm.py`, tensorpack's `models`, `src/model.py` of openai/gpt-2, and
`python/mlx/nn/layers/convolution.py` of ml-explore/mlx.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import prod

from tli_cli.checkpoints.checkpoint import Checkpoint
from tli_cli.checkpoints.in_files import InFiles, Part
from tli_cli.checkpoints.layouts.joined import put_together
from tli_cli.checkpoints.names import clean_names
from tli_cli.describe.vocabulary import canonical_role

KERNEL, DEPTHWISE, POINTWISE = "kernel", "depthwise_kernel", "pointwise_kernel"
KERNELS = {KERNEL, DEPTHWISE, POINTWISE}
LAST = {"weights": KERNEL, "w": KERNEL, "W": KERNEL, "depthwise_weights": DEPTHWISE, "pointwise_weights": POINTWISE,
        "biases": "bias", "b": "bias", "offset": "beta", "g": "gamma"}  # fmt: skip
"""The last words of names that stand for one of Keras'."""
AVERAGES = {"mean_ema.average": "moving_mean", "var_ema.average": "moving_variance",
            "mean.EMA": "moving_mean", "variance.EMA": "moving_variance"}  # fmt: skip
"""The last two words of names that are one word of Keras'."""
COLLECTIONS = {"params", "batch_stats"}
"""What Flax calls the two halves of a model's variables."""
SEPARATOR = re.compile(r"[./]")
INDEXED = re.compile(r"\d\.")
LINEAR_ROLES = {"q", "k", "v", "o", "cross_q", "cross_k", "cross_v", "cross_o", "gate", "up", "fc1", "fc2"}
EINSUM = re.compile(r"(?P<said>\w+)_einsum")
TAKES = re.compile(r"(\w+_)?(vec|out|output|o|down)")
"""What an einsum is called that sums over heads or inner channels, and not over the stream's."""

Shapes = Mapping[str, tuple[int, ...]]


def paths_of(names: Sequence[str]) -> list[str]:
    """Return the names with dots between their parts and Keras' words at their ends, without `:0`, without what stands
    for nothing in them: Flax's collections, Haiku's `~`, and the first part where the second repeats it in all.

    >>> paths_of(["net/~/conv/w", "net/~/norm/~/mean_ema/average"])
    ['net.conv.kernel', 'net.norm.moving_mean']
    """
    parts = [[p for part in SEPARATOR.split(name) if (p := part.partition(":")[0]) != "~"] for name in names]
    if {own[0] for own in parts if own} <= COLLECTIONS:
        parts = [own[1:] for own in parts]
    if all(own[:1] == own[1:2] for own in parts):
        parts = [own[1:] for own in parts]
    return [".".join(_said(own)) for own in parts]


def speaks_otherwise(names: Sequence[str]) -> bool:
    """Tell whether the names say of kernels in a way that is not Keras' own, in which torch's code may say it too."""
    return not any(KERNEL in name for name in names)


def kernels_among(names: Sequence[str]) -> set[str]:
    """Return the names that end as those of kernels do."""
    last = {name: SEPARATOR.split(name)[-1].partition(":")[0] for name in names}
    return {name for name, word in last.items() if LAST.get(word, word) in KERNELS}


def shows_layout(shapes: Shapes) -> bool:
    """Tell whether the bias of some kernel fits its last axis alone, or some kernel is an einsum's."""
    kernels = {path.removesuffix(KERNEL): shape for path, shape in shapes.items() if path.endswith(f".{KERNEL}")}
    fits = any(len({*shape[-2:]}) > 1 and f"{module}bias" in shapes for module, shape in kernels.items())
    return fits or any(einsum_axes(path, shape) for path, shape in shapes.items())


def matrices_said(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Return `shapes`, matrices that stand by themselves in a block and are called as linear layers are, under the name
    of their kernel: `attention.q`, as mesh-tensorflow and einsums of Flax have it."""

    def said(path: str, shape: tuple[int, ...]) -> str:
        alone = len(shape) == 2 and path.rpartition(".")[2] not in KERNELS and not path.endswith((".weight", ".bias"))
        return f"{path}.{KERNEL}" if alone and INDEXED.search(path) and canonical_role(path) in LINEAR_ROLES else path

    return {said(path, shape): shape for path, shape in shapes.items()}


def einsum_axes(path: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return which axes the kernel of an einsum takes and gives: `(..., in, out)`, or `(..., out)` where it sums over
    heads (google-deepmind/gemma, `gemma/gm/nn/_modules.py`); None for what is not called so."""
    match = next((found for part in path.split(".") if (found := EINSUM.fullmatch(part))), None)
    if match is None or len(shape) < 3:
        return None
    rest = tuple(range(len(shape) - 1))
    return (rest, (len(shape) - 1,)) if TAKES.fullmatch(match["said"]) else (rest[-1:], (*rest[:-1], len(shape) - 1))


def _said(parts: list[str]) -> list[str]:
    if average := AVERAGES.get(".".join(parts[-2:])):
        return [*parts[:-2], average]
    if len(parts) > 1 and EINSUM.fullmatch(parts[-1]):
        return [*parts, KERNEL]
    return [*parts[:-1], LAST.get(parts[-1], parts[-1])]


NORMS = {"gamma": "weight", "scale": "weight", "beta": "bias", "moving_mean": "running_mean",
         "moving_variance": "running_var", "mean": "running_mean", "var": "running_var"}  # fmt: skip
NORMED = {"beta", "bias", "moving_mean", "mean"}
"""One of these stands beside the scale of a norm, and not beside other vectors called so."""
TABLES = {"embedding", "embeddings"}
TURNED = {"relative_attention_bias", "rel_embedding"}
"""Tables of T5 that are `(heads, buckets)` where they stand by themselves (mesh-tensorflow, T5X)."""
HEADED = re.compile(r"(q|k|v|query|key|value)(_proj)?")
PLACES_FIRST = "its convolutions are (out, *places, in), as MLX has them, and are read as (out, in, *places)"
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
        len(shape) > 1 and shape[-len(biases[path]) or len(shape) :] == biases[path] for path, shape in kernels.items()
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
        return (0,), (1, 2)
    heads = {shapes[f"{other}.{KERNEL}"][1:] for other in _beside(module, shapes) if _makes_heads(other, shapes)}
    return ((0, 1), (2,)) if shape[:2] in heads else None


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


def channels_first(checkpoint: Checkpoint) -> Checkpoint | None:
    """Return `checkpoint` with torch's convolutions; None where the shapes do not show that all of them are
    `(out, *places, in)`: kernels are square there, and some are not as torch would read them."""
    shapes = {s.name: s.shape for s in checkpoint.tensors if len(s.shape) in (4, 5) and s.name.endswith(".weight")}
    square = all(len(set(shape[1:-1])) == 1 for shape in shapes.values())
    oblong = sum(len(set(shape[2:])) > 1 for shape in shapes.values())
    if not shapes or not square or 2 * oblong < len(shapes):
        return None
    layouts = {name: _with_channels_first(checkpoint.stored_names[name], shape) for name, shape in shapes.items()}
    read = put_together(checkpoint, layouts, checkpoint.stored_names)
    read.readings, read.channels_last = (*checkpoint.readings, PLACES_FIRST), True
    return read


def _with_channels_first(stored: str, shape: tuple[int, ...]) -> InFiles:
    out, *places, inner = shape
    size = prod(places)
    strides = (inner * size, *(prod(places[dim + 1 :]) for dim in range(len(places))), size)
    return InFiles((out, inner, *places), (Part(stored, shape, 0, strides),))
