"""Sums of linear branches over one input, and the one layer that each of them is in evaluation mode."""
