"""Operations of aten, by name, as the tracer tells them apart: by what they make of the numbers that they are given."""

from __future__ import annotations

COPIES = {"clone", "alias", "detach", "_to_copy", "contiguous", "to", "type_as", "lift_fresh"}
"""Operations that make the same numbers, of another type perhaps."""

UNSEEN = COPIES | {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "expand", "permute", "transpose", "t",
    "repeat",
}  # fmt: skip
"""Operations that are no step of what is worked out."""

SAME_NUMBERS = COPIES | {"clamp", "clamp_min", "clamp_max"}
"""What leaves the numbers of a list what they are, as those in use lie within the bounds."""

ADDITIONS = {"add", "add_", "sub", "sub_"}

KEPT = COPIES | ADDITIONS | {"neg", "mul", "mul_", "div", "div_", "clamp_min", "masked_fill", "pow", "abs"}
"""Operations on one value, behind which a step of a norm is still one."""

SILENT = KEPT | {
    "copy_", "roll", "flip", "native_dropout", "rsub", "_conj", "real", "imag", "fill_", "masked_fill_", "exp", "log",
    "zero_", "round", "floor", "as_strided_",
}  # fmt: skip
"""Operations that make no node of the graph."""

FIXED_NAMES = {"relu_": "relu", "silu_": "silu", "hardswish_": "hardswish", "sigmoid_": "sigmoid", "tanh_": "tanh",
               "_softmax": "softmax", "_safe_softmax": "softmax", "hardtanh_": "hardtanh", "leaky_relu_": "leaky_relu",
               "max_pool2d_with_indices": "max_pool", "_adaptive_avg_pool2d": "avg_pool", "avg_pool2d": "avg_pool",
               "elu_": "elu", "gelu_": "gelu", "max_pool3d_with_indices": "max_pool", "avg_pool3d": "avg_pool",
               **{f"adaptive_max_pool{d}d": "max_pool" for d in "123"}, "_adaptive_avg_pool3d": "avg_pool"}  # fmt: skip
"""What the nodes of operations are called that go by several names."""

UNIFORM = {"zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"}
"""Operations that make the same number everywhere."""

UNEVEN = {"tril", "triu", "cumsum", "constant_pad_nd", "cat", "stack", "index_put", "scatter", "eye"}
"""Operations that make other numbers from place to place of what holds one number everywhere."""

FACTORIES = UNIFORM - {"zeros", "ones", "full"} | {
    "new_empty", "empty_like", "rand_like", "new_empty_strided", "randn_like",
}  # fmt: skip
"""Operations that take of a tensor its shape alone."""

UNCOUNTED = COPIES | FACTORIES | {
    "copy_", "native_dropout", "fill_", "zero_", "masked_fill", "masked_fill_", "where", "eq", "ne", "lt", "le", "gt",
    "ge", "sort", "argmax", "isnan", "isinf", "bernoulli_", "as_strided", "as_strided_",
    "_softmax", "_safe_softmax", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d",
}  # fmt: skip
"""Operations whose numbers say nothing of values, or follow from the sizes of what they are applied to."""

PLAIN = {
    "neg", "exp", "exp2", "expm1", "abs", "log", "log1p", "reciprocal", "sign", "sqrt", "floor", "round", "erf",
    "cumsum",
}  # fmt: skip
"""Operations that take no numbers and change values."""
