"""Axis maps: which source index feeds each index along the axes of a target tensor, and how maps are made."""
