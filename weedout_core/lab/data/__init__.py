"""Real data for experiments: where it comes from, how it is read, split and standardised."""
