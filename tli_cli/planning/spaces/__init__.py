"""Channels and axes: which source ones become which target ones, and what makes up for it.

`pieces` lines up the dimensions of two tensors (`dims`), asks for each which rule maps it (`mapped`), and takes the map
from the book of a plan (`maps`, on `leaf_maps`, by `map_rules` from the `traits` of spaces). `scales`, `embedded` and
`turning` find what queries, tables and heads make up for, `free_streams` what may be turned.
"""
