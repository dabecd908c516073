"""The paper's experiment: its configuration, and the work at one sparsity from search to test accuracy."""
