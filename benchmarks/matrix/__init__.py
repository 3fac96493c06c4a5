"""Benchmarks of the TLI score: the first paper's figure, what the score is worth, and its speed."""
