"""Fit a target to its source by what both compute on made-up inputs: no data, no labels."""
