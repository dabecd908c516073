"""Everything random: the stream, every derivation of a key from a seed, the k smallest words."""
