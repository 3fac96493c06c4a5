"""Whether what a network gives last are classes or features."""

from __future__ import annotations

from tli_cli.describe.vocabulary import canonical_role

HEADS = frozenset({"head", "head_dist"})
UNBOUNDED = ("relu", "leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus", "hardswish")
"""Activations that let values grow, unlike those that end a network in shares or in values between bounds."""
BOUNDED = ("tanh", "sigmoid", "hardsigmoid", "softmax")
"""What gives values of one size, as norms do."""


def gives_features(path: str, rows: int, columns: int) -> bool:
    """Tell whether the last layer gives features: it makes as many as it takes, and its name says that it is for
    something else than classes.

    >>> gives_features("pooler.dense", 384, 384), gives_features("fc", 384, 384), gives_features("pooler", 9, 384)
    (True, False, False)
    """
    return rows == columns and canonical_role(path) not in ("", *HEADS)
