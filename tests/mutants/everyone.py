"""The body: every mutant, by its name."""

from types import MappingProxyType

from tests.mutants import (
    chunks,
    epochs,
    epochs_remembered,
    keys_and_draws,
    nothing_to_try,
    options_of_rates,
    options_of_sgd,
    options_of_steps,
    populations,
)
from tests.mutants.body import GROUPS

#: The files that add mutants to the groups.
FILES = (
    options_of_sgd, options_of_rates, options_of_steps, populations, chunks, keys_and_draws,
    nothing_to_try,
    epochs_remembered, epochs,
)  # fmt: skip

MUTANTS = MappingProxyType({mutant.name: mutant for group in GROUPS for mutant in group.mutants})
