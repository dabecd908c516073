"""The kit is itself tested: each of these backends is wrong in one way, and must be caught."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings

from tests.conformance import wrong_compaction as compaction
from tests.conformance import wrong_draws as draws
from tests.conformance import wrong_scores as scores
from tests.conformance import wrong_sensitivities as sensitivities
from tests.conformance import wrong_training as training
from tests.conformance.connected import imported
from tests.conformance.wrappers import Wrong, on_host
from tests.mutants.everyone import MUTANTS
from weedout_core import load_backend
from weedout_core.backend import Backend
from weedout_core.testing import CHECKS, assert_agrees

#: Each wrong backend, and the check that is there to catch it.
WRONG: dict[Wrong, str] = {
    draws.renamed_argument: "signatures",
    scores.names_too_few_layers: "computes_a_network",
    draws.counter_off_by_one: "random_bits",
    draws.draw_depends_on_count: "random_bits",
    draws.unstable_tie: "keep_smallest",
    draws.signed_words: "keep_smallest",
    draws.off_by_one_count: "masks_from_keys",
    draws.truncated_count: "masks_from_keys",
    draws.float_rounded_threshold: "bernoulli_thresholds",
    draws.strict_threshold: "bernoulli_thresholds",
    draws.one_stream_for_all_sites: "masks_from_keys",
    draws.reused_key: "sample_masks",
    draws.flipped_mask: "masks_from_keys",
    draws.empty_site: "masks_from_keys",
    draws.forgets_the_node_each_site_keeps: "masks_from_keys",
    draws.index_before_site: "masks_from_keys",
    draws.last_site_first: "masks_from_keys",
    draws.expected_counts: "masks_from_keys",
    draws.other_scale: "draw_parameters",
    draws.random_biases: "draw_parameters",
    draws.norm_scale_is_zero: "draw_parameters",
    scores.half_precision: "apply_agrees",
    scores.predicts_without_masks: "apply_agrees",
    scores.never_rescales: "apply_agrees",
    scores.channel_mask_over_height: "apply_agrees",
    scores.node_mask_of_first_pixel: "apply_agrees",
    scores.padded_as_same: "apply_agrees",
    scores.flipped_window: "apply_agrees",
    scores.transposed_window: "apply_agrees",
    scores.shortcut_left_out: "apply_agrees",
    scores.one_epsilon_for_all: "apply_agrees",
    scores.statistics_ignored: "apply_agrees",
    scores.predicts_with_the_batch: "apply_agrees",
    scores.cost_for_fitness: "score_agrees",
    scores.sum_for_mean: "score_agrees",
    scores.scores_with_running_statistics: "score_agrees",
    scores.predicts_with_the_first_weights: "predict_together",
    scores.predicts_with_the_first_statistics: "predict_together",
    scores.statistics_of_the_batch_always: "score_agrees",
    scores.norm_ignored_for_keys: "score_agrees",
    scores.unbiased_variance: "score_agrees",
    scores.recalibrated_on_the_scored_batch: "score_agrees",
    scores.recalibrated_without_masks: "score_agrees",
    scores.not_finite_is_zero: "not_finite_stays",
    scores.last_candidate_dropped: "score_agrees",
    scores.sorted_candidates: "permuted_candidates",
    scores.hidden_state: "pure",
    scores.writes_to_its_input: "pure",
    scores.highest_class_of_ties: "deciding_logits",
    scores.scores_with_shared_weights: "score_agrees",
    sensitivities.mean_of_examples: "mask_gradient_agrees",
    sensitivities.nothing_for_removed_nodes: "mask_gradient_agrees",
    sensitivities.every_node_kept: "mask_gradient_agrees",
    sensitivities.statistics_ignored: "mask_gradient_agrees",
    sensitivities.labels_ignored: "mask_gradient_agrees",
    sensitivities.in_single_precision: "mask_gradient_agrees",
    sensitivities.one_site_forgotten: "mask_gradient_agrees",
    compaction.gathers_off_by_one: "predict_compacted",
    compaction.gathers_what_the_first_network_does: "predict_compacted",
    compaction.forgets_scale: "predict_compacted",
    compaction.indices_of_the_candidate_before: "score_agrees",
    compaction.indices_of_the_chunk_before: "score_agrees",
    compaction.statistics_of_the_first_channels: "score_agrees",
    compaction.trains_off_by_one: "compacted_epoch_agrees",
    compaction.trains_on_what_the_first_network_gathers: "compacted_epoch_agrees",
    compaction.trains_without_scale: "compacted_epoch_agrees",
    training.unbiased_running_variance: "epoch_agrees",
    training.negated_velocity: "epoch_agrees",
    training.nothing_correct: "epoch_agrees",
    training.trains_a_little_otherwise_each_time: "epoch_agrees",
    training.plain_momentum: "epoch_agrees",
    training.no_momentum: "epoch_agrees",
    training.decays_everything: "epoch_agrees",
    training.decays_norm_scale: "epoch_agrees",
    training.no_decay: "epoch_agrees",
    training.constant_rate: "epoch_agrees",
    training.rate_never_drops: "epoch_agrees",
    training.no_warm_up: "epoch_agrees",
    training.own_data_order: "epoch_agrees",
    training.one_order_for_all: "epoch_agrees",
    training.trains_without_masks: "epoch_agrees",
    training.trains_in_half_precision: "epoch_agrees",
    training.keeps_weights_in_bfloat16: "bfloat16_step_agrees",
    training.bfloat16_without_masks: "bfloat16_step_agrees",
    training.default_precision_forgets_momentum: "default_step_agrees",
    training.forgets_the_epoch: "epoch_agrees",
    training.forgets_the_velocity: "epoch_agrees",
    training.rows_for_columns: "epoch_agrees",
    training.never_mirrored: "epoch_agrees",
    training.always_mirrored: "epoch_agrees",
    training.mirrored_before_cropped: "epoch_agrees",
    training.one_group: "epoch_agrees",
    training.interleaved_groups: "epoch_agrees",
    training.momentum_of_statistics_swapped: "epoch_agrees",
    training.statistics_never_move: "epoch_agrees",
    training.statistics_of_the_first_network: "epoch_agrees",
}


@pytest.fixture(autouse=True)
def _no_shrinking() -> Iterator[None]:
    """A failure is wanted here, and its smallest form is not: shrinking would take minutes."""
    before = settings.get_current_profile_name()
    settings.register_profile("catch", settings.get_profile(before), phases=[Phase.explicit, Phase.generate])
    settings.load_profile("catch")
    yield
    settings.load_profile(before)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
@pytest.mark.parametrize("name", ["numpy", pytest.param("torch", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_is_caught_by_its_check(name: str, wrong: Wrong) -> None:
    """In float64, where agreement is close, and in float32: one backend that rounds stands for all."""
    broken = wrong(load_backend(name))
    # A backend that writes to a read-only input is stopped by NumPy itself; any other must be caught by an assertion.
    stopped = wrong is scores.writes_to_its_input
    with pytest.raises(ValueError if stopped else AssertionError, match="read-only" if stopped else None):
        CHECKS[WRONG[wrong]](broken, load_backend("numpy"))


@pytest.mark.parametrize("fails", [next(iter(CHECKS)), "score_agrees", list(CHECKS)[-1]])
def test_the_whole_kit_runs_the_checks_in_turn_and_names_the_one_that_fails(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, reference = load_backend("numpy"), replace(load_backend("numpy"), name="another")
    run: list[str] = []

    def check(name: str, one: Backend, other: Backend) -> None:
        assert (one, other) == (backend, reference)
        run.append(name)
        assert name != fails, "this one fails"

    monkeypatch.setattr("weedout_core.testing.CHECKS", {name: partial(check, name) for name in CHECKS})
    with pytest.raises(AssertionError, match="this one fails") as caught:
        assert_agrees(backend, reference)
    assert run == list(CHECKS)[: list(CHECKS).index(fails) + 1]
    assert caught.value.__notes__ == [f"conformance check {fails!r} of backend 'numpy' on cpu"]


@pytest.mark.slow
def test_a_wrong_backend_is_caught_by_the_whole_kit() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_agrees(scores.sum_for_mean(load_backend("numpy")))
    assert any("conformance check 'score_agrees'" in note for note in caught.value.__notes__)


def test_a_backend_is_taken_by_its_name_and_held_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []
    check = {"only": lambda one, other: compared.append((one.name, other.name))}
    monkeypatch.setattr("weedout_core.testing.CHECKS", check)
    assert_agrees("torch")
    assert compared == [("torch", "numpy")]


@pytest.mark.parametrize("name", ["numpy", "jax", "torch"])
def test_a_backend_that_computes_on_its_callers_memory_is_caught(name: str) -> None:
    backend = load_backend(name)
    share = {
        "numpy": np.asarray,
        "jax": lambda array: imported("jax", "jax").device_put(array),
        "torch": lambda array: imported("torch", "torch").as_tensor(array),
    }[name]

    own = backend.to_numpy(backend.asarray(np.zeros(1))).dtype

    def shares(array: Any) -> Any:
        """Where nothing must be changed: NumPy's numbers in a row, of the backend's own dtype."""
        as_it_is = isinstance(array, np.ndarray) and array.flags.c_contiguous and array.dtype == own
        return share(array) if as_it_is else backend.asarray(array)

    with pytest.raises(AssertionError, match="shares the memory that it was given"):
        CHECKS["conversions"](replace(backend, asarray=shares), load_backend("numpy"))


def _rounds_where_it_may(backend: Backend) -> Backend:
    """A device that trains with products of 11 bits (TF32) unless it is told to keep all 24."""

    def rounded(after: Any, before: Any, net: Any, plan: Any) -> Any:
        by = 2.0**-11 if plan.config.precision == "default" else 0.0

        def moved(path: str, value: np.ndarray) -> np.ndarray:
            old = backend.to_numpy(before.params[path])
            return (old + (1 + by) * (value - old)).astype(value.dtype)

        return after._replace(params=on_host(backend, moved, after.params))

    return training.with_state(backend, rounded)


@pytest.mark.parametrize("check", ["epoch_agrees", "compacted_epoch_agrees"])
@pytest.mark.slow
def test_a_device_may_round_products_where_it_is_not_told_otherwise(check: str) -> None:
    CHECKS[check](_rounds_where_it_may(load_backend("numpy")), load_backend("numpy"))


#: For checks beside those above, a wrong backend of the body of mutants that nothing but such a check catches.
MUTANT = {
    "conversions": "bytes_stay",
    "deciding_inputs": "pooling_drops_nan",
    "deciding_gradients": "slope_of_one_at_zero",
    "deciding_counts": "correct_ties_to_the_last",
    "optimizers_are_refused": "optimizers_are_ignored",
    "limited_training_agrees": "one_step_too_few",
    "numbers_of_few_bits": "default_precision_forgets_the_rescaling",
    "coinciding_sizes": "biases_by_example_where_as_many_as_networks",
    "large_predictions": "predicts_4096_examples",
    "large_populations": "accuracy_of_the_first_128_classes",
    "large_epochs": "order_of_16_bits",
}


@pytest.mark.parametrize("check", MUTANT)
@pytest.mark.slow
def test_a_mutant_is_caught_by_its_check(check: str) -> None:
    with pytest.raises(AssertionError):
        CHECKS[check](MUTANTS[MUTANT[check]].make(), load_backend("numpy"))


def test_every_check_catches_something() -> None:
    idle = set(CHECKS) - set(WRONG.values()) - set(MUTANT)
    # What these hold is implied by other checks for the backends above; they are here for a failure's clarity.
    assert idle == {"full_mask_is_parent", "search_agrees", "elite_never_worsens", "throughout_agrees"}, idle
