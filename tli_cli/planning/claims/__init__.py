"""Whether what arrives computes what it did: everything that speaks against calling a step exact."""
