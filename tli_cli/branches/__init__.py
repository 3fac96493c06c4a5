"""Sums of linear branches over one input, and the one layer that each of them is in evaluation mode.

`finding` gives them as `values`, `merging` puts layers in their places where that brings two networks closer, and
`splitting` makes a plan for the branches of one for these layers.
"""
