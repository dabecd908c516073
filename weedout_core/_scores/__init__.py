"""Scores of nodes before training, for ``masks_from_scores``: what other methods keep a node for."""
