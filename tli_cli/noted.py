"""The words under which a layer notes numbers in code, and what else its shapes do not show."""

from __future__ import annotations

from typing import Any

Number = tuple[Any, ...]
"""An operation and the numbers that it takes: `("mul", 0.125)`, `("convolution", stride, padding, dilation)`."""

CONVOLUTION = "convolution"
"""The word for how a convolution moves over its input: stride, zeros before the input, dilation and, where they are not
as many as before it, zeros behind it."""

OFFSET = "offset"
"""In place of an operation: a number that is added to a layer's weight before it is used, as in `(1 + weight) * x`."""

EPSILON = "epsilon"
"""In place of an operation: what a norm adds to the variance."""

GROUPS = "groups"
"""In place of an operation: in how many groups a norm averages over its channels."""

POOLED = "pooled"
"""In place of an operation: that a norm is applied to a mean over places."""

OWN = "own"
"""In place of an operation: that a value meets what is made of it alone, such as its mean."""

REDUCED = "reduced"
"""In place of an operation: what several channels or places become together, such as the mean of channels."""

PICKED = "picked"
"""In place of an operation: that the first or the last of all places is taken alone."""

AS_HEAD = "as head"
"""In place of an operation: that an embedding's own table serves as a head from here on."""

OUTPUTS = "outputs"
"""In place of an operation: at how many places of one sample what the network gives is held."""

WEIGHED = "weighed"
"""In place of an operation: how the places are cut that a softmax weighs before a layer."""

OF_THE_LAYER = (AS_HEAD, CONVOLUTION, EPSILON, GROUPS, OFFSET, OUTPUTS, POOLED, WEIGHED)
"""Numbers of the layer itself, not of what is behind it."""

UNPLACED = ("mul", "div", "baddbmm", *OF_THE_LAYER)
"""Numbers of which it says nothing where they stand: scales, which are made up for, and those of layers."""
