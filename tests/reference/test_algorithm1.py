"""The paper's loop and the library find the same winner, the same numbers, and train the same network."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import weedout_core as wc
from weedout_numpy import Result, weedout

SEED = 2**33 + 5  # both words of the key
NET = wc.mlp(inputs=64, hidden=(24, 16), classes=10)
#: The loop spells out the masked network; that the smaller one is the same is a matter of rounding.
TRAIN = wc.TrainConfig(epochs=2, batch_size=32, compaction=False)


def digits() -> tuple[Any, Any, Any]:
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    splits = (x[:150], y[:150]), (x[150:350], y[150:350]), (x[350:450], y[350:450])
    for split in splits:
        for array in split:
            array.setflags(write=False)
    return splits


VALIDATION, TRAINING, TEST = digits()


def run(config: wc.SearchConfig, sparsity: Any = 0.8) -> Result:
    return weedout(NET, VALIDATION, TRAINING, TEST, sparsity, config, TRAIN, SEED)


@pytest.mark.parametrize(
    ("sparsity", "config"),
    [
        (0.8, wc.SearchConfig(population=8, generations=4, validation_batch=10)),
        (0.8, wc.SearchConfig(population=8, generations=4, validation_batch=10, reading="section3")),
        (0.5, wc.SearchConfig(population=8, generations=4, validation_batch=10, winner="best_overall")),
        (
            {"hidden_0": 0.25, "hidden_1": 0.9},
            wc.SearchConfig(population=4, generations=1, sampling="bernoulli"),
        ),
        (0.6, wc.SearchConfig(population=4, generations=2, allocation="global")),
        (0.6, wc.SearchConfig(population=4, generations=2, allocation="erk")),
        (0.8, wc.SearchConfig(population=4, generations=2, validation_batch=10, training_steps=8)),
        (0.8, wc.SearchConfig(population=4, generations=2, training_steps=3, trained_weights="kept")),
    ],
    ids=["algorithm1", "section3", "best overall", "bernoulli", "global", "erk", "trained", "trained and kept"],
)
def test_the_loop_and_the_library_agree_to_the_bit(sparsity: Any, config: wc.SearchConfig) -> None:
    found = run(config, sparsity)
    key = wc.key(SEED)
    limited: dict[str, Any] = {"training": TRAINING, "learning": TRAIN} if config.training_steps else {}
    searched = wc.search(NET, VALIDATION, sparsity=sparsity, backend="numpy", key=key, config=config, **limited)
    trained = wc.train(searched.network, TRAINING, backend="numpy", key=key, config=TRAIN)
    tested = wc.evaluate(trained.network, TEST, backend="numpy")
    assert_same(NET, found, searched, trained, tested)


@pytest.mark.parametrize("granularity", ["node", "channel"])
def test_images_too(granularity: Any) -> None:
    """Convolutions, batch normalisation in groups, crops and a warm-up, on 8 × 8 digits."""
    net = wc.Network(
        (
            wc.nn.Conv("conv", 3), wc.nn.BatchNorm("norm_0"), wc.nn.Relu(), wc.nn.Mask("mask_0", False, granularity),
            wc.nn.Residual(
                (
                    wc.nn.Conv("conv_1", 4, stride=2), wc.nn.BatchNorm("norm_1"), wc.nn.Relu(),
                    wc.nn.Mask("mask_1", False, granularity), wc.nn.Conv("conv_2", 12),
                ),
                (wc.nn.Conv("shortcut", 12, kernel_size=1, stride=2),),
            ),
            wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.MaxPool(2), wc.nn.GlobalAveragePool(), wc.nn.Mask("pooled"),
            wc.nn.Dense("logits", 10),
        ),
        (8, 8, 1),
    )  # fmt: skip
    config = wc.SearchConfig(population=4, generations=2, validation_batch=20)
    train_config = wc.TrainConfig(
        epochs=2, batch_size=32, batch_norm_group=16, augmentation="crop_flip", warmup_epochs=1, compaction=False
    )
    validation, training, test = [(x.reshape(-1, 8, 8, 1), y) for x, y in (VALIDATION, TRAINING, TEST)]
    found = weedout(net, validation, training, test, 0.5, config, train_config, SEED)
    key = wc.key(SEED)
    searched = wc.search(net, validation, sparsity=0.5, backend="numpy", key=key, config=config)
    trained = wc.train(searched.network, training, backend="numpy", key=key, config=train_config)
    tested = wc.evaluate(trained.network, test, backend="numpy")
    assert_same(net, found, searched, trained, tested)
    statistics = trained.network.moving
    assert set(found.trained.statistics) == set(statistics) == set(wc.nn.initial_statistics(net))
    small, kept = compacted(net, masked(searched))
    before = small.gather(wc.nn.initial_statistics(net), kept)
    for path, value in small.gather(statistics, kept).items():
        np.testing.assert_array_equal(small.gather(found.trained.statistics, kept)[path], value, path)
        assert not np.array_equal(value, before[path]), f"{path} has moved"
    fresh = replace(trained.network, statistics=wc.nn.initial_statistics(net))
    untrained = wc.evaluate(fresh, test, backend="numpy")
    assert untrained.loss != tested.loss, "testing takes the trained statistics"


def masked(searched: wc.SearchResult) -> wc.backend.Masks:
    """The winner's mask: it has one."""
    assert searched.network.mask is not None
    return searched.network.mask


def compacted(net: wc.Network, masks: wc.backend.Masks) -> tuple[wc.backend.CompactedNetwork, dict[str, np.ndarray]]:
    """What a mask keeps. The rest acts on nothing: decay moves it in the loop, the library gives it back as it was."""
    return wc.compact(net, {site: int(mask.sum()) for site, mask in masks.items()}), wc.backend.kept_indices(masks)


def assert_same(
    net: wc.Network, found: Result, searched: wc.SearchResult, trained: wc.Trained, tested: wc.Evaluation
) -> None:
    assert found.winner.origin == searched.origin, "the same winner"
    assert found.winner.fitness == searched.fitness, "chosen for the same fitness"
    assert len(found.history) == len(searched.history)
    for ours, theirs in zip(found.history, searched.history, strict=True):
        assert ours.elite.origin == theirs.elite, "the same elite"
        np.testing.assert_array_equal(ours.fitness, theirs.fitness)
    assert searched.network.net == trained.network.net == net
    assert set(found.winner.mask) == set(masked(searched))
    for site, mask in masked(searched).items():
        np.testing.assert_array_equal(found.winner.mask[site], mask, f"mask of {site}")
    assert trained.network.mask is not None
    for site, mask in trained.network.mask.items():
        np.testing.assert_array_equal(found.winner.mask[site], mask, f"mask of {site} after training")
    assert set(found.winner.params) == set(searched.network.params)
    small, kept = compacted(net, masked(searched))
    passed_on = found.winner.params if searched.config.trained_weights == "reset" else found.winner.learnt
    for path, weights in small.gather(searched.network.params, kept).items():
        np.testing.assert_array_equal(small.gather(passed_on, kept)[path], weights, f"passed on {path}")
    for path, weights in small.gather(trained.network.params, kept).items():
        np.testing.assert_array_equal(small.gather(found.trained.params, kept)[path], weights, f"trained {path}")
    np.testing.assert_array_equal(found.trained.losses, trained.losses, "every step has a loss")
    assert found.trained.losses.shape == trained.losses.shape
    assert found.accuracy == tested.accuracy, "the same test accuracy"


def test_the_elite_opens_the_next_generation_and_is_scored_again() -> None:
    found = run(wc.SearchConfig(population=8, generations=4, validation_batch=1000))
    scores = np.array(fitness_of(found))
    best = scores.max(axis=1)
    assert (np.diff(best) >= 0).all(), "on a batch that stays the same the elite never gets worse"
    np.testing.assert_array_equal(scores[1:, 0], best[:-1], "it sits at index 0, with its fitness")
    assert len(set(scores.ravel().tolist())) == 8 + 3 * 7, "the others are drawn afresh"


def test_the_readings_differ_where_the_paper_does() -> None:
    config = wc.SearchConfig(population=8, generations=4, validation_batch=10)
    algorithm1, section3 = run(config), run(replace(config, reading="section3", fitness="", winner="", weights=""))
    last = algorithm1.history[-1].elite
    assert last.fitness < max(map(max, fitness_of(algorithm1))), "the last batch must be a hard one; take another seed"
    assert algorithm1.winner is last, "Algorithm 1: the elite of the last generation"
    assert section3.winner.fitness == max(map(max, fitness_of(section3))), "section 3: the best over all generations"
    assert 0 <= section3.winner.fitness <= 1, "section 3: accuracy"
    assert algorithm1.winner.fitness < 0, "Algorithm 1: negative cost"


def fitness_of(found: Result) -> list[tuple[float, ...]]:
    """Of every candidate, by generation."""
    return [generation.fitness for generation in found.history]


def test_the_same_seed_gives_the_same_result_and_another_seed_another() -> None:
    config = wc.SearchConfig(population=4, generations=2)
    once, again = run(config), run(config)
    assert fitness_of(once) == fitness_of(again)
    np.testing.assert_array_equal(once.trained.losses, again.trained.losses)
    other = weedout(NET, VALIDATION, TRAINING, TEST, 0.8, config, TRAIN, SEED + 1)
    assert fitness_of(once) != fitness_of(other)


def test_a_choice_that_the_loop_does_not_make_is_refused() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"spells out patience=None only; got 2"):
        run(wc.SearchConfig(population=2, patience=2))


def test_a_generation_without_a_finite_fitness_is_an_error() -> None:
    huge = np.full((5, 64), 1e308), np.zeros(5, dtype=np.int32)
    with pytest.raises(wc.errors.SearchError, match="no candidate of generation 0 has a finite fitness"):
        weedout(NET, huge, TRAINING, TEST, 0.2, wc.SearchConfig(population=3), TRAIN, SEED)


def test_training_for_no_epochs_leaves_the_initial_weights() -> None:
    config = wc.SearchConfig(population=2, generations=1)
    found = weedout(NET, VALIDATION, TRAINING, TEST, 0.8, config, wc.TrainConfig(epochs=0), SEED)
    assert found.trained.losses.shape == (0,)
    assert math.isfinite(found.accuracy)
    for path, weights in found.winner.params.items():
        np.testing.assert_array_equal(found.trained.params[path], weights, path)
