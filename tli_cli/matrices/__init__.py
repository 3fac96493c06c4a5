"""The scores between many architectures, as numbers and as pictures."""
