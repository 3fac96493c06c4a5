"""What libraries call the tensors of layers whose kernels are `(*places, in, out)`, in the words of Keras.

Sources: `keras/src/layers`, `flax/linen`, `tensorflow/contrib/layers` and TF-slim, Haiku's and Sonnet's `linear.py`,
`conv.py` and `batch_norm.py`, tensorpack's `models`, `src/model.py` of openai/gpt-2.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

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
LETTERED = re.compile(r"(?P<letter>[Wb])_(?P<said>[A-Za-z]\w*)")
"""How matrices are called, and the vectors added behind them, that code multiplies itself: `W_in` and `b_in`, as in
TransformerLens (`transformer_lens/components`)."""
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
    return [".".join(_said(own)) for own in _with_letters_told(parts)]


def _with_letters_told(names: Sequence[list[str]]) -> list[list[str]]:
    """Return the names with layers in place of letters: `attn.W_Q` is `attn.Q.W`; the only one of a module, that."""
    told = [(own, LETTERED.fullmatch(own[-1])) for own in names]
    held = Counter(tuple(own[:-1]) for own, match in told if match and match["letter"] == "W")

    def layer(own: list[str], match: re.Match[str] | None) -> list[str]:
        *module, _ = own
        if match is None or not held[tuple(module)]:
            return own
        if held[tuple(module)] > 1:
            return [*module, match["said"], match["letter"]]
        table = match["letter"] == "W" and canonical_role(".".join(module)) in ("embed", "position")
        return [*module, "embeddings" if table else match["letter"]]

    return [layer(own, match) for own, match in told]


def speaks_otherwise(names: Sequence[str]) -> bool:
    """Tell whether the names say of kernels in a way that is not Keras' own, in which torch's code may say it too."""
    return not any(KERNEL in name for name in names)


def kernels_among(names: Sequence[str]) -> set[str]:
    """Return the names that end as those of kernels do."""
    last = {name: SEPARATOR.split(name)[-1].partition(":")[0] for name in names}
    return {n for n, word in last.items() if LAST.get(word, word) in KERNELS or word.startswith("W_")}


def shows_layout(shapes: Shapes) -> bool:
    """Tell whether the bias of some kernel fits its last axis alone, or some kernel is an einsum's."""
    kernels = {path.removesuffix(KERNEL): shape for path, shape in shapes.items() if path.endswith(f".{KERNEL}")}
    fits = any(len({*shape[-2:]}) > 1 and f"{module}bias" in shapes for module, shape in kernels.items())
    return fits or any(einsum_axes(path, shape) for path, shape in shapes.items())


def matrices_said(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Return `shapes`, matrices that stand by themselves in a block and are called as linear layers are, under the name
    of their kernel: `attention.q`, as mesh-tensorflow and einsums of Flax have it; vectors beside a shift are scales.
    """

    def said(path: str, shape: tuple[int, ...]) -> str:
        module, _, last = path.rpartition(".")
        if last == KERNEL and len(shape) == 1 and shapes.get(f"{module}.bias") == shape:
            return f"{module}.scale"
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
