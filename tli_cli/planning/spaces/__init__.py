"""Channels and axes: which source ones become which target ones, and what makes up for it."""
