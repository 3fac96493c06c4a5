"""Names and shapes alone: what a bare checkpoint can tell of its network."""
