"""The folder of a run: its record, its tables, its checkpoints."""
