"""The reference's search throughout training and the library's give the same masks, numbers and weights."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.reference.test_algorithm1 import NET, SEED, TEST, TRAINING, VALIDATION
from weedout_core.errors import ConfigError
from weedout_numpy import weedout, weedout_throughout
from weedout_numpy.throughout import risen

PLAIN: dict[str, Any] = {"epochs": 5, "batch_size": 32, "momentum": 0, "nesterov": False, "weight_decay": 0}
TRAIN = wc.TrainConfig(**PLAIN, search_epochs=2, compaction=False)


@pytest.mark.parametrize("sparsities", [(0.8, 0.8), (0.3, 0.9), (0.0, 0.5)])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"reading": "section3"},
        {"sampling": "bernoulli"},
        {"search_part": 0.5},
        {"allocation": "global"},
        {"allocation": "erk"},
    ],
    ids=lambda more: next(iter(more.values()), "algorithm1"),
)
@pytest.mark.filterwarnings("ignore:sparsity 0.0 removes none")
def test_the_reference_and_the_library_agree_to_the_bit(sparsities: tuple[float, float], more: dict[str, Any]) -> None:
    part = more.get("search_part", 1.0)
    train_config = replace(TRAIN, search_part=part)
    config = wc.SearchConfig(
        population=6, generations=2, validation_batch=20, **{name: more[name] for name in more if name != "search_part"}
    )
    found = weedout(NET, VALIDATION, TRAINING, TEST, sparsities[0], config, wc.TrainConfig(epochs=0), SEED)
    expected = weedout_throughout(NET, found, VALIDATION, TRAINING, sparsities, config, train_config, SEED)

    key = wc.key(SEED)
    searched = wc.search(NET, VALIDATION, sparsity=sparsities[0], backend="numpy", key=key, config=config)
    trained = wc.train(
        searched.network, TRAINING, backend="numpy", key=key, config=train_config, found=searched,
        validation=VALIDATION, sparsity=sparsities[1],
    )  # fmt: skip
    assert len(trained.generations) == (1 if train_config.search_part == 0.5 else 2)
    assert [one.elite for one in trained.generations] == [one.elite.origin for one in expected.history]
    assert [tuple(one.fitness) for one in trained.generations] == [one.fitness for one in expected.history]
    assert trained.losses.tolist() == expected.trained.losses.tolist()
    assert trained.network.mask is not None
    for site, mask in expected.mask.items():
        np.testing.assert_array_equal(trained.network.mask[site], mask)
    for path, value in expected.trained.params.items():
        np.testing.assert_array_equal(trained.network.params[path], value)


def test_the_sparsity_rises_by_a_cube() -> None:
    assert [risen(0.0, 0.8, t, 4) for t in range(5)] == pytest.approx([0, 0.4625, 0.7, 0.7875, 0.8], abs=1e-15)
    assert risen(0.2, 0.7, 3, 3) == 0.7, "exactly"
    assert all(math.isclose(risen(0.5, 0.5, t, 3), 0.5) for t in range(4))


@pytest.mark.parametrize("moving", [{"momentum": 0.9}, {"weight_decay": 0.1}])
def test_what_would_move_removed_weights_is_refused(moving: dict[str, float]) -> None:
    config = wc.SearchConfig(population=4, generations=1)
    found = weedout(NET, VALIDATION, TRAINING, TEST, 0.5, config, wc.TrainConfig(epochs=0), SEED)
    train_config = wc.TrainConfig(**{**PLAIN, **moving}, search_epochs=2)
    with pytest.raises(ConfigError, match="momentum=0 and weight_decay=0 are spelled out here"):
        weedout_throughout(NET, found, VALIDATION, TRAINING, (0.5, 0.5), config, train_config, SEED)
