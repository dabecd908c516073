"""The body: every mutant, by its name."""

from types import MappingProxyType

from tests.mutants import (
    afterwards_in_networks,
    afterwards_in_training,
    afterwards_in_words,
    again_in_networks,
    again_in_training,
    again_in_words,
    arguments_remembered,
    arguments_written_to,
    bfloat16,
    branches,
    chunks,
    conversions,
    devices,
    devices_in_training,
    devices_of_jax,
    epochs,
    epochs_remembered,
    fifth_in_networks,
    fifth_in_training,
    fifth_in_words,
    fourth_in_networks,
    fourth_in_training,
    fourth_in_words,
    keys_and_draws,
    logits_that_decide,
    norms_that_decide,
    nothing_to_try,
    options_of_rates,
    options_of_sgd,
    options_of_steps,
    populations,
    sensitivities,
    sizes_of_batches,
    sizes_of_draws,
    sizes_of_layers,
    third_in_networks,
    third_in_training,
    third_in_words,
    values_that_decide,
    weights_that_are_masked,
    windows,
)
from tests.mutants.body import GROUPS

#: The files that add mutants to the groups.
FILES = (
    options_of_sgd, options_of_rates, options_of_steps, populations, chunks, keys_and_draws,
    sensitivities,
    nothing_to_try,
    epochs_remembered, epochs,
    sizes_of_draws, sizes_of_batches, sizes_of_layers,
    logits_that_decide, values_that_decide, norms_that_decide, branches, windows,
    weights_that_are_masked,
    arguments_written_to, arguments_remembered, conversions,
    bfloat16,
    devices, devices_in_training, devices_of_jax,
    afterwards_in_words, afterwards_in_networks, afterwards_in_training,
    again_in_words, again_in_networks, again_in_training,
    third_in_words, third_in_networks, third_in_training,
    fourth_in_words, fourth_in_networks, fourth_in_training,
    fifth_in_words, fifth_in_networks, fifth_in_training,
)  # fmt: skip

MUTANTS = MappingProxyType({mutant.name: mutant for group in GROUPS for mutant in group.mutants})
