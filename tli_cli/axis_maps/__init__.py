"""Axis maps: which source index feeds each index along the axes of a target tensor, and how maps are made.

A map of a plan (`tli_cli.pieces.AxisMap`) gets its values (`values`) by one of `rules`, as two `take`s: for axes that
make channels, and for those that sum over them. `expressions` puts maps together to whole axes and applies them to
tensors; `selection` does where all of them only choose, without torch. `checks` says what is wrong with a map.
"""
