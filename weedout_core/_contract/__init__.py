"""What a backend is: its calls, the record of them, and how one is found by its name."""
