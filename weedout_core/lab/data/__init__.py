"""Real data for experiments: downloading, reading, splitting and standardising."""
