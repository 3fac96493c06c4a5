"""Which function tells how an aten operation couples axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tli_cli.describe.tracing.convolutions import convolution
from tli_cli.describe.tracing.lookups import embedding, index_
from tli_cli.describe.tracing.norms import batch_norm, group_norm, layer_norm, weight_norm
from tli_cli.describe.tracing.products import addmm, dot, matmul, matrix_vector, trilinear
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.reductions import (
    average_pool,
    combine,
    deviation,
    length,
    maximum,
    mean_,
    reduce_,
    sum_,
    variance,
)
from tli_cli.describe.tracing.softmaxes import softmax

CONVOLUTIONS = ("convolution", "_convolution")
PRODUCTS = ("addmm", "baddbmm")

COMPUTE: dict[str, Callable[[Recording, Sequence[Any], Any], None]] = {
    **dict.fromkeys(CONVOLUTIONS, convolution), "_weight_norm_interface": weight_norm,
    "_trilinear": trilinear,
    "mm": matmul, "bmm": matmul, "mv": matrix_vector, "dot": dot, "vdot": dot, **dict.fromkeys(PRODUCTS, addmm),
    "native_batch_norm": batch_norm, "_native_batch_norm_legit": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm, "cudnn_batch_norm": batch_norm,
    "native_layer_norm": layer_norm, "_fused_rms_norm": layer_norm, "rms_norm": layer_norm,
    "native_group_norm": group_norm, "embedding": embedding, "index": index_,
    "mean": mean_, "sum": sum_, "amax": maximum, **dict.fromkeys(("amin", "min"), partial(reduce_, name="min")),
    **dict.fromkeys(("var", "var_mean"), variance), **dict.fromkeys(("std", "std_mean"), deviation),
    "linalg_vector_norm": length, "max": maximum,
    **{name: partial(combine, name=name) for name in ("prod", "logsumexp")},
    "_softmax": softmax, "_safe_softmax": softmax,
    "avg_pool2d": partial(average_pool, name="avg_pool2d"), "avg_pool3d": partial(average_pool, name="avg_pool3d"),
}  # fmt: skip
