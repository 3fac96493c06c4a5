"""How an axis map is made from its sizes: one family of rules for each file."""
