"""From a matching to a plan: which tensors feed which, and how their axes are mapped. Names and shapes only."""
