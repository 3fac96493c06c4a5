"""Carrying out a plan: make each target tensor, and stream it to the output."""
