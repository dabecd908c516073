"""Configurations: frozen, checked when made; the points that the paper leaves open."""
