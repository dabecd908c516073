"""Fitness after limited training: what the steps are, that they are those of training, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core._algorithm.fitness import FITNESS
from weedout_core._algorithm.limited import LimitedTraining, legs, limited_plan
from weedout_core._phases import limited_training
from weedout_core._random.keys import of_limited_training
from weedout_core.backend import Examples, Origin
from weedout_core.errors import ConfigError, DataError

NET = wc.mlp(6, (12, 8), 3)
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(40, 6)).astype(np.float32), RNG.integers(0, 3, 40)
TRAINING = RNG.normal(size=(24, 6)).astype(np.float32), RNG.integers(0, 3, 24)
LEARNING = wc.TrainConfig(batch_size=8, learning_rate=0.1)
KEY = wc.key(7)


def found(backend: Any = "numpy", scored: Any = (), net: wc.Network = NET, **more: Any) -> wc.SearchResult:
    learning, training = more.pop("learning", LEARNING), more.pop("training", TRAINING)
    config = wc.SearchConfig(**{"population": 5, "generations": 3, "validation_batch": 16, "training_steps": 4, **more})
    given: dict[str, Any] = {"training": training, "learning": learning} if config.training_steps else {}
    data = DATA if net is NET else IMAGES
    return wc.search(net, data, sparsity=0.5, backend=backend, key=KEY, config=config, scored=scored, **given)


def as_trained(steps: int, generation: int, network: wc.Subnetwork, backend: Any, **more: Any) -> wc.Subnetwork:
    """The network after so many steps of ``wc.train``, three to an epoch of TRAINING, by one constant rate."""
    assert steps % 3 == 0
    config = replace(LEARNING, epochs=steps // 3, schedule="constant", precision="highest", **more)
    key = of_limited_training(KEY, generation)
    return wc.train(network, TRAINING, backend=backend, key=key, config=config).network


def test_every_candidate_is_scored_after_the_same_steps() -> None:
    result = found(training_steps=3, generations=1)
    backend = wc.load_backend("numpy")
    plan = wc.mask_plan(wc.mask_space(NET), 0.5)
    keys = wc.backend.draw_population(KEY, plan, result.config, [Origin(0, index) for index in range(5)]).mask_keys
    assert keys is not None
    masks = backend.masks_from_keys(keys, plan)
    x, y = DATA
    batch = wc.ask_tell.validation_batch(KEY, 0, 40, result.config)
    for index, fitness in enumerate(result.history[0].fitness):
        one = wc.candidate(NET, {site: mask[index] for site, mask in masks.items()}, backend=backend, key=KEY)
        tested = wc.evaluate(as_trained(3, 0, one, backend), (x[batch], y[batch]), backend=backend)
        assert fitness == pytest.approx(-tested.loss, abs=1e-12)


def test_no_steps_are_the_plain_fitness_to_the_bit() -> None:
    config = wc.SearchConfig(population=5, generations=3, validation_batch=16)
    plain = wc.search(NET, DATA, sparsity=0.5, backend="numpy", key=KEY, config=config)
    assert found(training_steps=0) == plain
    assert found(training_steps=1).history[0].fitness.tolist() != plain.history[0].fitness.tolist()


@pytest.mark.parametrize("steps", [1, 3, 4, 7])
def test_the_steps_are_the_first_ones_of_a_training(steps: int) -> None:
    """Three to a pass over the split; of the pass that is cut short the first ones."""
    plan = limited_plan(LEARNING, 24, steps, "highest")
    assert (plan.config.epochs, plan.config.schedule, plan.config.precision) == (-(-steps // 3), "constant", "highest")
    x = np.arange(24.0)
    split = Examples(x[:, None].astype(np.float32), np.arange(24, dtype=np.int32))
    shown = [
        leg.x[leg.batches.order[r]].reshape(-1, 8)
        for leg in legs(LimitedTraining(split, plan, steps, KEY), 2)
        for r in range(2)
    ]
    one = np.concatenate(shown[::2])
    np.testing.assert_array_equal(one, np.concatenate(shown[1::2]), "all networks are shown the same")
    whole = [wc.backend.epoch_batches([KEY], epoch, plan).order[0] for epoch in range(plan.config.epochs)]
    np.testing.assert_array_equal(one, np.concatenate(whole)[:steps])


def test_images_are_cropped_as_in_training() -> None:
    config = wc.TrainConfig(batch_size=8, augmentation="crop_flip")
    plan = limited_plan(config, 24, 4, "highest")
    split = Examples(np.zeros((24, 4, 4, 1), np.float32), np.zeros(24, np.int32))
    crops = [leg.batches.crops for leg in legs(LimitedTraining(split, plan, 4, KEY), 2)]
    whole = [wc.backend.epoch_batches([KEY, KEY], epoch, plan).crops for epoch in range(2)]
    for one, wanted, steps in zip(crops, whole, (3, 1), strict=True):
        assert one is not None
        assert wanted is not None
        np.testing.assert_array_equal(one, wanted[:, :steps])


def test_a_generation_has_its_own_steps_unless_its_batch_stays() -> None:
    first = found(generations=2, batch_policy="fixed")
    again = found(generations=2, batch_policy="fixed", elite="cache")
    assert first.history[1].fitness[0] == first.history[0].best, "the elite again, after the same steps"
    assert again.history[1].best == first.history[1].best
    fresh = found(generations=2, validation_batch=40)
    assert fresh.history[1].fitness[0] != fresh.history[0].best, "the same validation batch, after other steps"


CASES: dict[str, dict[str, Any]] = {
    "own weights": {"weights": "per_candidate"},
    "bred": {"strategy": "one_plus_lambda"},
    "global": {"allocation": "global"},
    "bernoulli, bred": {"sampling": "bernoulli", "strategy": "genetic"},
    "masked": {"learning": replace(LEARNING, compaction=False)},
    "best overall, kept": {"winner": "best_overall", "trained_weights": "kept"},
    "rescored, kept": {"winner": "rescored", "trained_weights": "kept"},
    "accuracy": {"fitness": "accuracy"},
}


@pytest.mark.parametrize("case", CASES)
def test_how_many_are_trained_side_by_side_changes_nothing_on_the_reference(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = found(**CASES[case])
    for done in range(3):
        assert found(scored=whole.history[:done], **CASES[case]) == whole
    monkeypatch.setattr(limited_training, "_FLOATS", 1)
    alone = found(**CASES[case])
    assert [one.fitness.tolist() for one in alone.history] == [
        pytest.approx(one.fitness.tolist(), abs=1e-12) for one in whole.history
    ]
    chunked = found(chunk=2, **CASES[case])
    assert chunked.origin == whole.origin


@pytest.mark.parametrize("weights", ["shared", "per_candidate"])
def test_the_winner_that_is_kept_is_the_one_that_was_scored(weights: str) -> None:
    for winner in ("last_generation", "best_overall", "rescored"):
        kept = found(trained_weights="kept", weights=weights, winner=winner)
        generation = max(kept.history, key=lambda one: one.best).generation
        if winner == "last_generation":
            generation = 2
        elif winner == "rescored" and len({one.elite for one in kept.history}) > 1:
            generation = 3
        x, y = DATA
        batch = wc.ask_tell.validation_batch(KEY, generation, 40, kept.config)
        loss = wc.evaluate(kept.network, (x[batch], y[batch]), backend="numpy").loss
        assert kept.fitness == pytest.approx(-loss, abs=1e-12)


def test_a_fitness_and_a_strategy_of_ones_own_see_what_is_trained() -> None:
    def worst(logits: Any, labels: Any) -> Any:
        return -FITNESS["negative_cross_entropy"](logits, labels)

    own, named = found(fitness=worst, generations=1), found(generations=1)
    np.testing.assert_array_equal(own.history[0].fitness, -named.history[0].fitness)


IMAGES = RNG.normal(size=(40, 8, 8, 2)).astype(np.float32), RNG.integers(0, 3, 40)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_batch_normalisation_is_scored_by_the_statistics_that_the_steps_make(backend: str) -> None:
    pytest.importorskip(backend)
    net, learning = wc.vgg(2, 3, (8, 8, 2)), wc.TrainConfig(batch_size=8, batch_norm_group=None)
    given: dict[str, Any] = {
        "net": net, "training": IMAGES, "learning": learning, "population": 2, "generations": 1, "validation_batch": 20
    }  # fmt: skip
    result = found(backend, batch_norm="running", trained_weights="kept", **given)
    assert result.network.statistics is not None
    before = wc.nn.initial_statistics(net)
    assert any(not np.array_equal(result.network.statistics[path], before[path]) for path in before)
    x, y = IMAGES
    batch = wc.ask_tell.validation_batch(KEY, 0, 40, result.config)
    loss = wc.evaluate(result.network, (x[batch], y[batch]), backend=backend).loss
    assert result.fitness == pytest.approx(-loss, abs=1e-5)
    with pytest.raises(ConfigError, match="they need batch_norm=\"running\"; got 'batch'"):
        found(backend, **given)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"training": None}, ConfigError, r"training_steps=4 needs a training split: hand in training=\(x, y\)"),
        ({"training": (TRAINING[0][:, :3], TRAINING[1])}, DataError, "inputs must have shape"),
        ({"learning": wc.TrainConfig(augmentation="crop_flip")}, ConfigError, "augmentation needs images"),
    ],
)
def test_what_cannot_be_trained_is_refused(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        found(**given)


def test_a_training_split_without_steps_has_no_effect() -> None:
    given: dict[str, Any]
    for given in ({"training": TRAINING}, {"learning": LEARNING}):
        with pytest.raises(ConfigError, match="training and learning have no effect without training_steps"):
            wc.search(NET, DATA, sparsity=0.5, backend="numpy", key=KEY, **given)
    with pytest.raises(ConfigError, match="trained_weights='kept' has no effect without training_steps of at least 1"):
        wc.SearchConfig(trained_weights="kept")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"training": (TRAINING[0] + 1, TRAINING[1])}, "training SHA-256"),
        ({"learning": replace(LEARNING, learning_rate=0.2)}, r"learning TrainConfig\("),
        ({"training_steps": 5}, "training_steps 4"),
        ({"trained_weights": "kept"}, "trained_weights 'reset'"),
    ],
)
def test_a_search_goes_on_with_its_own_steps_alone(change: dict[str, Any], name: str) -> None:
    whole = found(generations=2)
    with pytest.raises(ConfigError, match=rf"scored\[0\] must be of this very search, but it began with {name}"):
        found(generations=2, scored=whole.history[:1], **change)
