"""The search throughout training: what its generations are, what the weights are, and what is refused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core._algorithm.gradual import gradual
from weedout_core._random.keys import of_thinning
from weedout_core.backend import kept_indices
from weedout_core.errors import ConfigError, DataError

NET = wc.mlp(6, (12, 8), 3)
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(40, 6)).astype(np.float32), RNG.integers(0, 3, 40)
TRAINING = RNG.normal(size=(24, 6)).astype(np.float32), RNG.integers(0, 3, 24)
KEY = wc.key(7)
CONFIG = wc.TrainConfig(epochs=7, search_epochs=2, batch_size=8, learning_rate=0.1)

Network = wc.Network


def search(sparsity: Any = 0.5, net: Network = NET, data: Any = DATA, key: Any = KEY, **more: Any) -> wc.SearchResult:
    config = wc.SearchConfig(**{"population": 5, "generations": 2, "validation_batch": 16, **more})
    return wc.search(net, data, sparsity=sparsity, backend="numpy", key=key, config=config)


def train(searched: wc.SearchResult, /, **more: Any) -> wc.Trained:
    given = {"backend": "numpy", "key": KEY, "config": CONFIG, "validation": DATA, "found": searched, **more}
    return wc.train(given.pop("network", searched.network), given.pop("data", TRAINING), **given)


def masks_of(network: wc.Subnetwork) -> dict[str, np.ndarray]:
    assert network.mask is not None
    return dict(network.mask)


def changed(**fields: Any) -> wc.SearchResult:
    """A result whose configuration is another than that of its search."""
    found = search()
    return found._replace(config=replace(found.config, **fields))


ONE_BY_ONE: list[dict[str, Any]] = [
    {},
    {"strategy": "one_plus_lambda"},
    {"strategy": "genetic", "sampling": "bernoulli"},
    {"strategy": "binary_tournament", "allocation": "global"},
    {"allocation": "global"},
    {"allocation": "erk"},
    {"reading": "section3"},
    {"reading": "section3", "strategy": "genetic"},
    {"batch_policy": "fixed"},
    {"winner": "rescored", "strategy": "one_plus_lambda"},
]


@pytest.mark.parametrize("more", ONE_BY_ONE, ids=lambda more: "-".join(map(str, more.values())) or "paper")
@pytest.mark.parametrize("final", [None, 0.8])
def test_it_goes_on_from_every_epoch_with_the_same_bits(final: float | None, more: dict[str, Any]) -> None:
    """With every strategy, sampling and allocation, and with another backend: what is drawn is the core's."""
    found, so_far, shown = search(**more), list[Any](), list[Any]()
    whole = train(found, sparsity=final, on_generation=shown.append)
    wc.train_together(
        [found.network], TRAINING, backend="numpy", keys=[KEY], config=CONFIG, found=[found], validation=DATA,
        sparsity=final, checkpoint=lambda epoch, fetch: so_far.append(fetch()),
    )  # fmt: skip
    assert len(so_far) == 6
    for (before,) in so_far:
        assert train(found, sparsity=final, resume=before) == whole
    assert tuple(shown) == whole.generations
    assert [one.generation for one in whole.generations] == [2, 3, 4], "they follow those of the search"
    again = train(found, sparsity=final, resume=so_far[3][0], backend="torch")
    assert [one.elite for one in again.generations] == [one.elite for one in whole.generations]


def test_every_generation_is_scored_with_the_weights_of_its_epoch() -> None:
    found = search()
    whole = train(found)
    for step, generation in enumerate(whole.generations):
        epochs = 2 * (step + 1)
        weights = weights_after(found, epochs)
        origins = [whole.generations[step - 1].elite if step else found.origin]
        origins += [wc.backend.Origin(2 + step, index) for index in range(1, 5)]
        population = wc.backend.draw_population(KEY, wc.mask_plan(wc.mask_space(NET), 0.5), found.config, origins)
        assert population.mask_keys is not None
        assert population.plan is not None
        drawn = wc.backend.masks_from_keys(population.mask_keys, population.plan)
        batch = wc.ask_tell.validation_batch(KEY, 2 + step, 40, found.config)
        for index, fitness in enumerate(generation.fitness):
            network = wc.Subnetwork(NET, weights, {site: mask[index] for site, mask in drawn.items()})
            tested = wc.evaluate(network, (DATA[0][batch], DATA[1][batch]), backend="numpy")
            assert fitness == pytest.approx(-tested.loss, abs=1e-12)
        best = int(np.argmax(generation.fitness))
        assert generation.elite == origins[best]
        assert (generation.best, generation.evaluations) == (generation.fitness[best], 5)


def weights_after(found: wc.SearchResult, epochs: int) -> Mapping[str, np.ndarray]:
    """The weights of the parent after some epochs of the training, from its checkpoint."""
    so_far = dict[int, wc.Trained]()
    wc.train_together(
        [found.network], TRAINING, backend="numpy", keys=[KEY], config=CONFIG, found=[found], validation=DATA,
        checkpoint=lambda epoch, fetch: so_far.update({epoch: fetch()[0]}),
    )  # fmt: skip
    return so_far[epochs].network.params


@pytest.mark.parametrize("strategy", ["random_search", "one_plus_lambda"])
def test_removed_weights_stay_as_they_were_and_come_back_at_rest(strategy: str) -> None:
    """The epochs are those of the smaller networks that the masks leave, each gathered from the parent by hand."""
    found = search(strategy=strategy, population=12)
    config = replace(CONFIG, schedule="constant", weight_decay=0.01, momentum=0.9)
    whole = train(found, config=config, sparsity=0.25)
    masks = [masks_of(found.network), *masks_of_generations(found, config)]
    assert any(not np.array_equal(masks[i][site], masks[i + 1][site]) for i in range(3) for site in masks[0])

    backend = wc.load_backend("numpy")
    plan = wc.backend.train_plan(config, 24)
    weights = dict(found.network.params)
    velocity = {path: np.zeros(value.shape) for path, value in weights.items()}
    for epoch in range(7):
        mask = masks[epoch // 2]
        small, kept = wc.compact(NET, {site: int(one.sum()) for site, one in mask.items()}), kept_indices(mask)
        trees = (small.gather(tree, kept) for tree in (weights, {}, velocity))
        one_of_each = ({path: value[None] for path, value in tree.items()} for tree in trees)
        state = wc.backend.TrainState(KEY[None], epoch, *one_of_each)
        batches = wc.backend.epoch_batches([KEY], epoch, plan)
        x, y = backend.asarray(TRAINING[0]), backend.asarray(TRAINING[1].astype(np.int32))
        state, _ = backend.train_epoch(small.net, plan, state, {}, x, y, batches)
        one = {path: value[0] for path, value in state.params.items()}
        moved = {path: value[0] for path, value in state.optimizer.items()}
        weights = small.expand(one, kept, weights)
        at_rest = {path: np.zeros(value.shape) for path, value in velocity.items()}
        velocity = small.expand(moved, kept, at_rest)
    for path, value in weights.items():
        np.testing.assert_array_equal(whole.network.params[path], value, path)
        np.testing.assert_array_equal(whole.velocity[path], velocity[path], path)


def masks_of_generations(found: wc.SearchResult, config: wc.TrainConfig) -> list[dict[str, np.ndarray]]:
    """The mask after each generation, from the checkpoint of the epoch after it."""
    so_far = dict[int, wc.Trained]()
    whole = wc.train_together(
        [found.network], TRAINING, backend="numpy", keys=[KEY], config=config, found=[found], validation=DATA,
        sparsity=0.25, checkpoint=lambda epoch, fetch: so_far.update({epoch: fetch()[0]}),
    )  # fmt: skip
    return [masks_of(one.network) for one in (so_far[3], so_far[5], *whole)]


@pytest.mark.parametrize("more", ONE_BY_ONE[:6], ids=lambda more: "-".join(map(str, more.values())) or "paper")
def test_the_sparsity_rises_to_what_was_asked_and_an_elite_that_stays_is_thinned(more: dict[str, Any]) -> None:
    found = search(0.25, **more)
    so_far = dict[int, wc.Trained]()
    whole = wc.train_together(
        [found.network], TRAINING, backend="numpy", keys=[KEY], config=CONFIG, found=[found], validation=DATA,
        sparsity=0.75, checkpoint=lambda epoch, fetch: so_far.update({epoch: fetch()[0]}),
    )  # fmt: skip
    masks = [masks_of(one.network) for one in (so_far[1], so_far[3], so_far[5], *whole)]
    origins = [found.origin, *(one.elite for one in whole[0].generations)]
    for step, mask in enumerate(masks):
        eta = gradual(wc.mask_space(NET), 0.25, 0.75, step, 3)
        plan = wc.backend.search_plan(NET, eta, found.config)
        kept = {site: int(one.sum()) for site, one in mask.items()}
        if found.config.sampling == "exact":
            assert sum(kept.values()) == plan.nodes_kept
            assert not plan.counts or kept == plan.counts
        if step and origins[step] == origins[step - 1]:
            assert all((one <= masks[step - 1][site]).all() for site, one in mask.items()), "the rest of the elite"
    assert sum(map(np.count_nonzero, masks[-1].values())) < sum(map(np.count_nonzero, masks[0].values()))


def test_it_ends_in_a_network_that_prunes_at_once() -> None:
    trained = train(search(), sparsity=0.75).network
    small = trained.compact()
    assert small.costs.parameters < trained.costs.parameters / 2
    one, other = (wc.evaluate(each, DATA, backend="numpy") for each in (trained, small))
    assert one.accuracy == other.accuracy
    assert one.loss == pytest.approx(other.loss, rel=1e-12)


def test_networks_side_by_side_are_each_its_own() -> None:
    found = [search(key=wc.key(seed)) for seed in (1, 2)]
    together = wc.train_together(
        [one.network for one in found], TRAINING, backend="numpy", keys=[wc.key(1), wc.key(2)], config=CONFIG,
        found=found, validation=DATA, sparsity=0.75,
    )  # fmt: skip
    for seed, one, trained in zip((1, 2), found, together, strict=True):
        assert trained == train(one, key=wc.key(seed), sparsity=0.75)
    assert together[0].generations != together[1].generations


@pytest.mark.parametrize("batch_norm", ["batch", "running", "recalibrated"])
def test_batch_normalisation_takes_the_running_statistics_of_the_epoch(batch_norm: str) -> None:
    layers = (wc.nn.Dense("one", 8), wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.Mask("hidden"), wc.nn.Dense("out", 3))
    net = Network(layers, (6,))
    found = search(net=net, batch_norm=batch_norm)
    so_far = dict[int, wc.Trained]()
    (whole,) = wc.train_together(
        [found.network], TRAINING, backend="numpy", keys=[KEY], config=CONFIG, found=[found], validation=DATA,
        checkpoint=lambda epoch, fetch: so_far.update({epoch: fetch()[0]}),
    )  # fmt: skip
    before = so_far[2].network  # under the mask that opens the population of the first generation
    batch = wc.ask_tell.validation_batch(KEY, 2, 40, found.config)
    tested = wc.evaluate(before, (DATA[0][batch], DATA[1][batch]), backend="numpy")
    same = whole.generations[0].fitness[0] == pytest.approx(-tested.loss, abs=1e-12)
    assert same == (batch_norm == "running")


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_where_the_weights_diverge_the_mask_stays_and_the_sparsity_rises() -> None:
    found = search()
    trained = train(found, config=replace(CONFIG, learning_rate=1e30, schedule="constant"), sparsity=0.75)
    assert trained.diverged
    assert all(np.isnan([one.best, one.mean, one.worst]).all() for one in trained.generations)
    assert [one.not_finite for one in trained.generations] == [5, 5, 5]
    assert {one.elite for one in trained.generations} == {found.origin}
    mask = masks_of(trained.network)
    assert {site: int(one.sum()) for site, one in mask.items()} == {"hidden_0": 3, "hidden_1": 2}
    assert all((one <= masks_of(found.network)[site]).all() for site, one in mask.items())


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("strategy", ["random_search", "genetic"])
def test_a_training_that_diverged_goes_on_from_every_epoch(strategy: str) -> None:
    found, so_far = search(strategy=strategy), list[Any]()
    config = replace(CONFIG, learning_rate=1e30, schedule="constant")
    (whole,) = wc.train_together(
        [found.network], TRAINING, backend="numpy", keys=[KEY], config=config, found=[found], validation=DATA,
        sparsity=0.75, checkpoint=lambda epoch, fetch: so_far.append(fetch()[0]),
    )  # fmt: skip
    assert np.isnan(whole.generations[0].best)
    assert [train(found, config=config, sparsity=0.75, resume=one) for one in so_far] == [whole] * 6


def test_more_epochs_go_on_where_the_sparsity_stays() -> None:
    found = search()
    short, long = replace(CONFIG, schedule="constant"), replace(CONFIG, schedule="constant", epochs=9)
    assert train(found, config=long, resume=train(found, config=short)) == train(found, config=long)
    with pytest.raises(ConfigError, match="it began with searched SHA-256"):
        train(found, config=long, resume=train(found, config=short, sparsity=0.75), sparsity=0.75)


@pytest.mark.parametrize(("epochs", "more"), [(8, 16), (16, 8)])
def test_a_search_that_would_have_ended_elsewhere_is_not_resumed(epochs: int, more: int) -> None:
    """A search in the first half of eight epochs has three generations, and seven in that of sixteen."""
    found, so_far = search(), list[Any]()
    config = replace(CONFIG, schedule="constant", epochs=epochs, search_epochs=1, search_part=0.5)
    wc.train_together(
        [found.network], TRAINING, backend="numpy", keys=[KEY], config=config, found=[found], validation=DATA,
        checkpoint=lambda epoch, fetch: so_far.append(fetch()[0]),
    )  # fmt: skip
    other = replace(config, epochs=more)
    assert train(found, config=other, resume=so_far[3]) == train(found, config=other), "three generations in both"
    with pytest.raises(ConfigError, match=rf"in 6 of {epochs} epochs it scored [35] generations, and in 6 of {more}"):
        train(found, config=other, resume=so_far[5])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"found": None}, "search_epochs=2 needs the search that goes on"),
        ({"validation": None}, "search_epochs=2 needs the search that goes on"),
        ({"config": wc.TrainConfig(epochs=3)}, "have no effect without search_epochs of at least 1"),
        (
            {"optimizer": lambda weights: None, "config": wc.TrainConfig(epochs=7, search_epochs=2)},
            "search_epochs needs the built-in SGD",
        ),
        ({"network": wc.Subnetwork(NET, search().network.params)}, "must have the mask that its search found"),
        ({"network": search(0.75).network}, "must have the mask that its search found"),
        ({"found": search(net=wc.mlp(6, (12, 9), 3))}, "for this very network"),
        ({"found": changed(fitness="accuracy")}, "Hand in its result, unchanged"),
        ({"found": changed(generations=9)}, "Hand in its result, unchanged"),
        ({"found": search()._replace(history=())}, "Hand in its result, unchanged"),
        ({"found": search(strategy="genetic")._replace(history=())}, "Hand in its result, unchanged"),
        ({"found": search(strategy="genetic")._replace(origin=wc.backend.Origin(0, 9))}, "its result, unchanged"),
        ({"sparsity": {"hidden_0": 0.5}}, "per-site sparsity must name the sites"),
        ({"sparsity": 1.0}, r"sparsity must be the fraction removed, in \[0, 1\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_any_work(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        train(search(), **given)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"elite": "cache", "batch_policy": "fixed"}, 'needs elite="rescore"'),
        ({"strategy": "successive_halving"}, "which leaves one candidate"),
    ],
)
def test_a_search_that_cannot_go_on_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        train(search(**config))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("search_epochs", {"config": replace(CONFIG, search_epochs=3)}),
        ("searched", {"validation": (DATA[0][::-1], DATA[1])}),
        ("searched", {"sparsity": 0.75}),
        ("searched", {"found": search(mutation=0.2, generations=1, strategy="one_plus_lambda")}),
    ],
)
def test_the_resume_of_another_search_is_refused_by_name(name: str, other: dict[str, Any]) -> None:
    found, so_far = search(generations=1), list[Any]()
    wc.train_together(
        [found.network], TRAINING, backend="numpy", keys=[KEY], config=CONFIG, found=[found], validation=DATA,
        checkpoint=lambda epoch, fetch: so_far.append(fetch()),
    )  # fmt: skip
    (before,) = so_far[3]
    with pytest.raises(ConfigError, match=f"it began with {name} "):
        train(found, resume=before, **other)


def test_a_search_with_limited_training_is_refused() -> None:
    config = wc.SearchConfig(population=5, generations=2, validation_batch=16, training_steps=1)
    found = wc.search(NET, DATA, sparsity=0.5, backend="numpy", key=KEY, config=config, training=TRAINING)
    with pytest.raises(ConfigError, match="needs training_steps=0"):
        train(found)


def test_a_validation_split_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError):
        train(search(), validation=(DATA[0][:, :3], DATA[1]))


@pytest.mark.parametrize("part", [1.0, 0.75, 0.55, 0.5])
@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("epochs", [7, 20])
def test_the_generations_are_those_after_every_so_many_epochs_in_their_part(
    epochs: int, every: int, part: float
) -> None:
    config = wc.TrainConfig(epochs=epochs, search_epochs=every, search_part=part)
    assert config.generations == len([one for one in range(every, epochs, every) if one < part * epochs - 1e-9])


def test_after_its_part_the_mask_stays() -> None:
    trained = train(search(), config=replace(CONFIG, search_epochs=1, search_part=0.5), sparsity=0.75)
    assert len(trained.generations) == 3
    assert trained.network.sparsity == pytest.approx(0.75)


def test_search_epochs_need_as_many_epochs() -> None:
    with pytest.raises(ConfigError, match="search_epochs=3 has no effect without more than 3 epochs in its part"):
        wc.TrainConfig(epochs=3, search_epochs=3)


def test_the_nodes_that_bred_masks_lose_are_drawn_from_a_stream_of_their_own() -> None:
    first, second = of_thinning(KEY, 2), of_thinning(KEY, 3)
    assert not np.array_equal(first, second)
