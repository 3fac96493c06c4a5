"""Layers that one of two networks alone has: how they start so that the function stays, and what is left out."""
