"""Which source layer feeds which target layer: one matcher for each file."""
