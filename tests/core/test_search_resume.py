"""A search that was cut goes on to the same end, without scoring again what was scored."""

import dataclasses
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

NET = wc.mlp(inputs=5, hidden=(8, 6), classes=3)
NORMED = wc.Network((wc.nn.Dense("first", 8), wc.nn.BatchNorm("norm"), *NET.layers[1:]), (5,))
X = np.random.default_rng(1).normal(size=(40, 5))
Y = np.random.default_rng(2).integers(0, 3, size=40)
KEY = wc.key(17)
CONFIGS = {
    "default": {},
    "section3": {"reading": "section3"},
    "cache": {"elite": "cache", "batch_policy": "fixed"},
    "cache, whole": {"elite": "cache", "batch_policy": "whole", "validation_batch": 1024},
    "rescored": {"winner": "rescored"},
    "patience": {"patience": 2, "batch_policy": "fixed"},
    "budget": {"generations": None, "budget": 20, "elite": "cache", "batch_policy": "fixed"},
    "running": {"batch_norm": "running"},
    "recalibrated": {"batch_norm": "recalibrated"},
}


@pytest.fixture(scope="module")
def backend() -> wc.backend.Backend:
    return wc.load_backend("numpy")


def config(**fields: Any) -> wc.SearchConfig:
    return wc.SearchConfig(**{"population": 6, "generations": 4, "validation_batch": 16, **fields})


def counting(backend: wc.backend.Backend, sizes: list[int]) -> wc.backend.Backend:
    """The backend; each population that it scores leaves its size."""

    def score_population(net: Any, params: Any, population: wc.backend.Population, *rest: Any) -> Any:
        sizes.append(population.size)
        return backend.score_population(net, params, population, *rest)

    return dataclasses.replace(backend, score_population=score_population)


def assert_same(found: wc.SearchResult, expected: wc.SearchResult) -> None:
    """Equal to the bit."""
    for name in ("mask", "params", "moving"):
        one, other = getattr(found.network, name), getattr(expected.network, name)
        assert set(one) == set(other)
        for path, value in one.items():
            np.testing.assert_array_equal(value, other[path], f"{name} {path}")
    assert found.network.net == expected.network.net
    assert found.network.sparsity == expected.network.sparsity
    plain = ("fitness", "origin", "stopped", "evaluations", "validation_batch", "config")
    assert [getattr(found, name) for name in plain] == [getattr(expected, name) for name in plain]
    assert len(found.history) == len(expected.history)
    for one, other in zip(found.history, expected.history, strict=True):
        np.testing.assert_array_equal(one.fitness, other.fitness, f"generation {one.generation}")
        assert one._replace(fitness=other.fitness) == other


@pytest.mark.parametrize("name", CONFIGS)
def test_a_search_goes_on_from_every_cut(backend: wc.backend.Backend, name: str) -> None:
    options, sizes = config(**CONFIGS[name]), []
    net = NORMED if "batch_norm" in CONFIGS[name] else NET
    whole = wc.search(net, (X, Y), sparsity=0.5, backend=counting(backend, sizes), key=KEY, config=options)
    told = list(sizes)
    assert len(told) >= 3, "there is something to cut"
    for cut in range(len(whole.history) + 1):
        sizes.clear()
        seen: list[wc.Generation] = []
        scored = whole.history[:cut]
        resumed = wc.search(
            net, (X, Y), sparsity=0.5, backend=counting(backend, sizes), key=KEY, config=options, scored=scored,
            on_generation=seen.append,
        )  # fmt: skip
        assert_same(resumed, whole)
        assert (resumed.network.statistics is None) == (net is NET), "those of batch normalisation alone"
        assert sizes == told[cut:], "only the generations after the cut are scored"
        assert [generation.generation for generation in seen] == list(range(cut, len(whole.history)))


def found(**other: Any) -> wc.SearchResult:
    """A search; one thing of what it is handed may be another."""
    given: dict[str, Any] = GIVEN | other
    return wc.search(given.pop("net"), given.pop("data"), backend=given.pop("backend", "numpy"), **given)


#: What wc.search is handed that decides a fitness.
GIVEN: dict[str, Any] = {
    "net": NORMED, "data": (X, Y), "sparsity": 0.5, "key": KEY, "config": config(batch_policy="fixed"),
}  # fmt: skip
NO_RELU = wc.Network(tuple(layer for layer in NORMED.layers if not isinstance(layer, wc.nn.Relu)), (5,))
MOVED = np.where(np.arange(200).reshape(40, 5) == 199, np.nextafter(X, np.inf), X)
#: Another one of each thing, and the name of what is found to differ.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "net": ("net", {"net": NO_RELU}),
    "x": ("x", {"data": (MOVED, Y)}),
    "y": ("y", {"data": (X, np.where(np.arange(40) == 39, (Y + 1) % 3, Y))}),
    "key": ("key", {"key": wc.key(18)}),
    "high word of the key": ("key", {"key": wc.key(17 + 2**32)}),
    "sparsity": ("sparsity", {"sparsity": 0.6}),
    "sparsity of a site": ("sparsity", {"sparsity": {"hidden_0": 0.5, "hidden_1": 0.51}}),
}
#: Another value of every field of the configuration, with what it needs of the others.
OTHER_CONFIG: dict[str, dict[str, Any]] = {
    "population": {"population": 7},
    "reading": {"reading": "section3", "fitness": "negative_cross_entropy", "winner": "last_generation"},
    "fitness": {"fitness": "accuracy"},
    "validation_batch": {"validation_batch": 17},
    "batch_policy": {"batch_policy": "fresh"},
    "elite": {"elite": "cache"},
    "strategy": {"strategy": "genetic"},
    "sampling": {"sampling": "bernoulli"},
    "allocation": {"allocation": "global"},
    "weights": {"weights": "per_candidate"},
    "fan": {"fan": "fan_out"},
    "fan_counts": {"fan_counts": "kept"},
    "batch_norm": {"batch_norm": "running"},
    "precision": {"precision": "default"},
}
#: What no fitness depends on.
THE_END: dict[str, dict[str, Any]] = {
    "generations": {"generations": 5}, "patience": {"patience": 4}, "budget": {"budget": 1000},
    "winner": {"winner": "best_overall"}, "chunk": {"chunk": 1},
}  # fmt: skip


def test_all_that_a_search_begins_with_is_tested() -> None:
    names = {item.name for item in dataclasses.fields(wc.SearchConfig)}
    of_one_value, of_breeding = {"winner_keeps", "ties", "not_finite"}, {"mutation"}  # the latter: test_strategies
    of_steps = {"training_steps", "trained_weights"}  # and training and learning: test_limited_training
    assert names == {*OTHER_CONFIG, *THE_END} | of_one_value | of_breeding | of_steps
    of_steps = {"training", "learning"}
    assert {name for name, _ in OTHERS.values()} | {"config", "kept"} | of_steps == {*wc.SearchBeginning._fields}


def refused(scored: Any, **other: Any) -> str:
    def never(*args: Any) -> Any:
        raise AssertionError("work began before everything was checked")

    idle = dataclasses.replace(wc.load_backend("numpy"), score_population=never, draw_parameters=never)
    with pytest.raises(wc.errors.ConfigError) as caught:
        found(scored=scored, backend=idle, **other)
    return str(caught.value)


@pytest.mark.parametrize("what", OTHERS)
def test_generations_of_another_search_are_refused_by_name(what: str) -> None:
    name, other = OTHERS[what]
    history = found().history
    message = refused(history[:2], **other)
    assert message.startswith(f"scored[0] must be of this very search, but it began with {name} ")
    assert message.endswith("Hand in what it began with, or leave scored out.")


@pytest.mark.parametrize("name", OTHER_CONFIG)
def test_generations_of_another_configuration_are_refused_by_name(name: str) -> None:
    was, now = GIVEN["config"], config(**{"batch_policy": "fixed", **OTHER_CONFIG[name]})
    assert refused(found().history[:1], config=now) == (
        f"scored[0] must be of this very search, but it began with {name} {getattr(was, name)!r}, and the search has "
        f"{getattr(now, name)!r}. Hand in what it began with, or leave scored out."
    )


def test_generations_under_other_counts_of_a_function_of_the_same_name_are_refused() -> None:
    """A function is known by its name alone; what it makes of the sparsity may have been changed since."""

    def portion(kept: int) -> Any:
        def counts(space: Any, sparsity: float) -> dict[str, int]:
            return dict.fromkeys(space, kept)

        return config(batch_policy="fixed", allocation=counts)

    same = portion(4)
    history = found(config=same).history
    name = (
        "tests.core.test_search_resume:test_generations_under_other_counts_of_a_function_of_the_same_name_are_refused"
    )
    assert history[0].began is not None
    assert history[0].began.config.allocation == f"{name}.<locals>.portion.<locals>.counts"
    assert_same(found(scored=history[:2], config=same), found(config=same))
    assert refused(history[:2], config=portion(3)).startswith(
        "scored[0] must be of this very search, but it began with kept (('hidden_0', 4), ('hidden_1', 4)), and the"
    )


@pytest.mark.parametrize("name", THE_END)
def test_the_end_of_a_search_may_be_another(name: str) -> None:
    other = {"config": config(batch_policy="fixed", **THE_END[name])}
    assert_same(found(scored=found().history[:2], **other), found(**other))


@pytest.mark.usefixtures("unchecked")
def test_the_same_in_another_form_is_the_same_search() -> None:
    history = found().history[:2]
    for other in (
        {"data": [X.tolist(), Y.tolist()]},
        {"data": (np.asfortranarray(X), Y.astype(np.uint8))},
        {"key": KEY.tolist()},
        {"sparsity": {"hidden_1": 0.5, "hidden_0": np.float32(0.5)}},
        {"backend": "numpy"},
    ):
        assert_same(found(scored=history, **other), found())


def test_another_backend_goes_on_with_the_same_search() -> None:
    history = found().history
    assert found(scored=history[:3], backend="jax").history[:3] == history[:3]


def test_generations_that_were_changed_are_refused() -> None:
    """Also those of this search in another order, or with a gap."""
    first, second = found().history[:2]
    for place, scored in (
        (0, [first._replace(fitness=first.fitness + 1)]),
        (0, [first._replace(fitness=first.fitness[:-1])]),
        (0, [first._replace(elite=wc.backend.Origin(0, (first.elite.candidate + 1) % 6))]),
        (0, [first._replace(best=first.best + 1)]),
        (0, [second]),
        (1, [first, first]),
    ):
        assert refused(scored).startswith(f"scored[{place}] must be generation {place} of this very search, as it was")


def test_generations_of_a_search_by_hand_do_not_say_what_they_are_of() -> None:
    state = wc.ask_tell.init(KEY, wc.mask_space(NORMED), 0.5, GIVEN["config"])
    _, generation = wc.ask_tell.tell(state, np.arange(6.0))
    assert refused([generation]) == "scored[0] must be a generation that wc.search gave; got one of a search by hand."


@pytest.mark.usefixtures("unchecked")
def test_a_fitness_alone_does_not_say_what_it_is_of() -> None:
    message = refused([found().history[0].fitness])
    assert message == (
        "scored[0] must be a Generation; got ndarray of float64 (6,). Hand in generations of the .history of what "
        "wc.search returned."
    )


def test_more_scored_generations_than_the_search_has_are_an_error() -> None:
    history = found().history[:3]
    message = refused(history, config=config(generations=2, batch_policy="fixed"))
    assert message == "scored must end with the search (generations); got scored[2] after it. Leave it out."
