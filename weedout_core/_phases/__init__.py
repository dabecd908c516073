"""The phases of Algorithm 1 on a backend: search, control, learning, evaluation."""
