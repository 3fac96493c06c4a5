"""Files written as a stream of blocks, by several threads or processes, that appear whole or not at all."""
