"""From a model, or from names and shapes, to an `Architecture`."""
