"""Who computes the groups of a run: this process, processes beside it, Ray, any executor, or several hosts together."""
