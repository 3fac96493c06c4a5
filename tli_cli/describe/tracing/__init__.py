"""A model is run once on the `meta` device: what each operation does to axes, and what comes of it."""
