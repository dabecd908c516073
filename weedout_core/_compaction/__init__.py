"""Sparsity made physical: a network and the nodes it keeps, and the smaller network that computes the same."""
