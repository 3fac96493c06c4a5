"""The TLI score of a matching, and what it means for a start."""
