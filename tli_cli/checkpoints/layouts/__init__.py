"""Other ways to hold the same layers: kernels turned, names of other libraries, parts kept apart, adapters."""
