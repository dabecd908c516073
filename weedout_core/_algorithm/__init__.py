"""The parts of Algorithm 1: fitness, the strategy of the search, the population, the schedule of training."""
