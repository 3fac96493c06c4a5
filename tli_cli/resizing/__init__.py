"""Adapt one tensor to another shape on its own: one resizer for each file."""
