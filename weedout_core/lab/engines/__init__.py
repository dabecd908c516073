"""Who computes the groups of a run: this process, processes beside it, Ray, or any executor."""
