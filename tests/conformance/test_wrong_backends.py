"""The kit is itself tested: each of these backends is wrong in one way, and must be caught."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings

from weedout_core import Backend, MaskPlan, SitePlan, load_backend
from weedout_core.testing import CHECKS, assert_agrees

Wrong = Callable[[Backend], Backend]


def with_sites(backend: Backend, change: Callable[[SitePlan], SitePlan]) -> Backend:
    """A backend that draws masks from a changed plan."""
    return replace(
        backend,
        masks_from_keys=lambda keys, plan: backend.masks_from_keys(keys, MaskPlan(tuple(map(change, plan.sites)))),
    )


def with_masks(backend: Backend, change: Callable[[np.ndarray], np.ndarray]) -> Backend:
    """A backend that changes the masks it drew."""

    def masks_from_keys(keys: Any, plan: Any) -> Any:
        masks = backend.masks_from_keys(keys, plan)
        return {site: backend.asarray(change(backend.to_numpy(mask))) for site, mask in masks.items()}

    return replace(backend, masks_from_keys=masks_from_keys)


def with_fitness(backend: Backend, change: Callable[..., Any]) -> Backend:
    """A backend that changes the fitness it computed: ``change(fitness, population, x, y)``."""

    def score_population(
        net: Any, params: Any, population: Any, x: Any, y: Any, fitness: Any, precision: Any, chunk: Any
    ) -> Any:
        scored = backend.score_population(net, params, population, x, y, fitness, precision, chunk)
        return backend.asarray(change(backend.to_numpy(scored), population, x, y))

    return replace(backend, score_population=score_population)


def with_plan(backend: Backend, **fields: Any) -> Backend:
    """A backend that trains with other settings than it was given."""

    def other(plan: Any) -> Any:
        return plan._replace(config=replace(plan.config, **fields))

    return replace(
        backend,
        train_init=lambda net, plan, keys, params, statistics: backend.train_init(
            net, other(plan), keys, params, statistics
        ),
        train_epoch=lambda net, plan, state, masks, x, y, order: backend.train_epoch(
            net, other(plan), state, masks, x, y, order
        ),
    )


def with_epoch(backend: Backend, change: Callable[..., Any]) -> Backend:
    """A backend that changes what an epoch is given: ``change(state, masks, x, y, order) -> the same``."""
    return replace(
        backend,
        train_epoch=lambda net, plan, state, masks, x, y, order: backend.train_epoch(
            net, plan, *change(state, masks, x, y, order)
        ),
    )


def with_weights(backend: Backend, change: Callable[[str, np.ndarray], np.ndarray]) -> Backend:
    """A backend that changes the initial weights it drew."""

    def draw_parameters(key: Any, specs: Any) -> Any:
        params = backend.draw_parameters(key, specs)
        return {path: backend.asarray(change(path, backend.to_numpy(value))) for path, value in params.items()}

    return replace(backend, draw_parameters=draw_parameters)


def renamed_argument(backend: Backend) -> Backend:
    return replace(backend, keep_smallest=lambda bits, count: backend.keep_smallest(bits, count))


def counter_off_by_one(backend: Backend) -> Backend:
    return replace(backend, random_bits=lambda key, n: backend.random_bits(key, n + 1)[1:])


def draw_depends_on_count(backend: Backend) -> Backend:
    """As a generator that fills both halves of a block does."""

    def random_bits(key: Any, n: int) -> Any:
        words = backend.to_numpy(backend.random_bits(key, n))
        return backend.asarray(np.concatenate([words[::2], words[1::2]]))

    return replace(backend, random_bits=random_bits)


def unstable_tie(backend: Backend) -> Backend:
    return replace(backend, keep_smallest=lambda bits, k: backend.keep_smallest(bits[::-1], k)[::-1])


def signed_words(backend: Backend) -> Backend:
    return replace(
        backend, keep_smallest=lambda bits, k: backend.keep_smallest(backend.to_numpy(bits) ^ np.uint32(2**31), k)
    )


def off_by_one_count(backend: Backend) -> Backend:
    return with_sites(backend, lambda site: replace(site, kept=min(site.kept + 1, site.nodes)))


def truncated_count(backend: Backend) -> Backend:
    """floor where the contract rounds: kept one too many where η·n ends in a half or more."""
    return with_sites(backend, lambda site: replace(site, kept=max(1, site.kept - site.kept % 2)))


def float_rounded_threshold(backend: Backend) -> Backend:
    def rounded(site: SitePlan) -> SitePlan:
        return site if site.bound is None else replace(site, bound=min(int(np.float32(site.bound)), 2**32 - 1))

    return with_sites(backend, rounded)


def strict_threshold(backend: Backend) -> Backend:
    return with_sites(backend, lambda site: site if not site.bound else replace(site, bound=site.bound - 1))


def one_stream_for_all_sites(backend: Backend) -> Backend:
    return with_sites(backend, lambda site: replace(site, code=0))


def reused_key(backend: Backend) -> Backend:
    return replace(
        backend, masks_from_keys=lambda keys, plan: backend.masks_from_keys(np.repeat(keys[:1], len(keys), 0), plan)
    )


def flipped_mask(backend: Backend) -> Backend:
    return with_masks(backend, np.logical_not)


def empty_site(backend: Backend) -> Backend:
    """Lets a site lose its last node."""

    def drop(mask: np.ndarray) -> np.ndarray:
        many = mask.reshape(len(mask), -1).sum(axis=1) > 1
        return mask & many.reshape(-1, *[1] * (mask.ndim - 1))

    return with_masks(backend, drop)


def other_scale(backend: Backend) -> Backend:
    return with_weights(backend, lambda path, value: value * np.float32(np.sqrt(0.5)))


def random_biases(backend: Backend) -> Backend:
    return with_weights(backend, lambda path, value: value + 0.01 * path.endswith("/bias"))


def half_precision(backend: Backend) -> Backend:
    """As products in TF32 or bfloat16 would be."""

    def halved(value: Any) -> Any:
        return backend.asarray(backend.to_numpy(value).astype(np.float16).astype(np.float32))

    def predict(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> Any:
        return backend.predict(net, {path: halved(value) for path, value in params.items()}, statistics, masks, x)

    return replace(backend, predict=predict)


def predicts_without_masks(backend: Backend) -> Backend:
    return replace(
        backend,
        predict=lambda net, params, statistics, masks, x: backend.predict(net, params, statistics, None, x),
    )


def cost_for_fitness(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, x, y: -fitness)


def sum_for_mean(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, x, y: fitness * len(y))


def not_finite_is_zero(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, x, y: np.nan_to_num(fitness))


def last_candidate_dropped(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, x, y: np.concatenate([fitness[:-1], fitness[:1]]))


def sorted_candidates(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, x, y: np.sort(fitness))


def hidden_state(backend: Backend) -> Backend:
    """Each call moves the next one."""
    calls = count()
    return with_fitness(backend, lambda fitness, population, x, y: fitness + np.float32(1e-6) * next(calls))


def writes_to_its_input(backend: Backend) -> Backend:
    def change(fitness: np.ndarray, population: Any, x: Any, y: Any) -> np.ndarray:
        if population.mask_keys is not None:
            population.mask_keys[...] = population.mask_keys[::-1]
        return fitness

    return with_fitness(backend, change)


def highest_class_of_ties(backend: Backend) -> Backend:
    """Adds the tied examples of the last class, as an argmax that prefers the last would."""

    def score_population(
        net: Any, params: Any, population: Any, x: Any, y: Any, fitness: Any, precision: Any, chunk: Any
    ) -> Any:
        silent = isinstance(params, dict) and not any(backend.to_numpy(value).any() for value in params.values())
        if fitness == "accuracy" and silent:
            last = np.mean(backend.to_numpy(y) == net.classes - 1)
            return backend.asarray(np.full(population.size, last, dtype=np.float32))
        return backend.score_population(net, params, population, x, y, fitness, precision, chunk)

    return replace(backend, score_population=score_population)


def scores_with_shared_weights(backend: Backend) -> Backend:
    """Draws the first candidate's weights for all."""

    def score_population(
        net: Any, params: Any, population: Any, x: Any, y: Any, fitness: Any, precision: Any, chunk: Any
    ) -> Any:
        own = population.weight_keys
        shared = population._replace(weight_keys=None if own is None else np.repeat(own[:1], len(own), 0))
        return backend.score_population(net, params, shared, x, y, fitness, precision, chunk)

    return replace(backend, score_population=score_population)


def plain_momentum(backend: Backend) -> Backend:
    return with_plan(backend, nesterov=False)


def no_momentum(backend: Backend) -> Backend:
    return with_plan(backend, momentum=0.0)


def decays_everything(backend: Backend) -> Backend:
    return with_plan(backend, decayed="all")


def no_decay(backend: Backend) -> Backend:
    return with_plan(backend, weight_decay=0.0)


def constant_rate(backend: Backend) -> Backend:
    return with_plan(backend, schedule="constant")


def own_data_order(backend: Backend) -> Backend:
    return with_epoch(backend, lambda state, masks, x, y, order: (state, masks, x, y, np.sort(order, axis=1)))


def one_order_for_all(backend: Backend) -> Backend:
    return with_epoch(
        backend, lambda state, masks, x, y, order: (state, masks, x, y, np.repeat(order[:1], len(order), 0))
    )


def trains_without_masks(backend: Backend) -> Backend:
    return with_epoch(backend, lambda state, masks, x, y, order: (state, None, x, y, order))


def forgets_the_epoch(backend: Backend) -> Backend:
    def train_epoch(net: Any, plan: Any, state: Any, masks: Any, x: Any, y: Any, order: Any) -> Any:
        after, result = backend.train_epoch(net, plan, state, masks, x, y, order)
        return after._replace(epoch=state.epoch), result

    return replace(backend, train_epoch=train_epoch)


#: Each wrong backend, and the check that is there to catch it.
WRONG: dict[Wrong, str] = {
    renamed_argument: "signatures",
    counter_off_by_one: "random_bits",
    draw_depends_on_count: "random_bits",
    unstable_tie: "keep_smallest",
    signed_words: "keep_smallest",
    off_by_one_count: "masks_match_counts",
    truncated_count: "masks_from_keys",
    float_rounded_threshold: "bernoulli_thresholds",
    strict_threshold: "bernoulli_thresholds",
    one_stream_for_all_sites: "masks_from_keys",
    reused_key: "sample_masks",
    flipped_mask: "masks_from_keys",
    empty_site: "masks_match_counts",
    other_scale: "draw_parameters",
    random_biases: "draw_parameters",
    half_precision: "apply_agrees",
    predicts_without_masks: "apply_agrees",
    cost_for_fitness: "score_masks",
    sum_for_mean: "score_masks",
    not_finite_is_zero: "not_finite_stays",
    last_candidate_dropped: "chunks_change_nothing",
    sorted_candidates: "permuted_candidates",
    hidden_state: "pure",
    writes_to_its_input: "pure",
    highest_class_of_ties: "tied_logits",
    scores_with_shared_weights: "score_own_weights",
    plain_momentum: "epoch_agrees",
    no_momentum: "epoch_agrees",
    decays_everything: "epoch_agrees",
    no_decay: "epoch_agrees",
    constant_rate: "epoch_agrees",
    own_data_order: "epoch_agrees",
    one_order_for_all: "networks_are_independent",
    trains_without_masks: "epoch_agrees",
    forgets_the_epoch: "epoch_agrees",
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
@pytest.mark.parametrize("name", ["numpy", "jax", "torch"])
def test_is_caught_by_its_check(name: str, wrong: Wrong) -> None:
    broken = wrong(load_backend(name))
    # A backend that writes to a read-only input is stopped by NumPy itself.
    with pytest.raises((AssertionError, ValueError)):
        CHECKS[WRONG[wrong]](broken, load_backend("numpy"))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_is_caught_by_the_whole_kit(wrong: Wrong) -> None:
    with pytest.raises((AssertionError, ValueError)) as caught:
        assert_agrees(wrong(load_backend("numpy")))
    assert any("conformance check" in note for note in caught.value.__notes__), "the failure does not name its check"


def test_the_reference_agrees_with_itself() -> None:
    assert_agrees("numpy")


def test_every_check_catches_something() -> None:
    idle = set(CHECKS) - set(WRONG.values())
    # What these hold is implied by other checks for the backends above; they are here for a failure's clarity.
    assert idle == {"full_mask_is_parent", "score_population", "search_agrees", "elite_never_worsens"}, idle
