"""What it costs, against peers, in one run: ``python -m benchmarks``. Results stand in ``RESULTS.md``."""
