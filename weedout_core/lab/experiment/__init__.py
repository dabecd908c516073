"""The paper's experiment: what is compared, and one sparsity of it from search to test accuracy."""
