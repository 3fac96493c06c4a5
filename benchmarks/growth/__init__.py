"""How closely a grown network computes what its source computes."""
