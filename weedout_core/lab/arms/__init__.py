"""Ways to choose a sparse network: the paper's two, those of other methods, a user's own, and checks of a method."""
