"""The core uses the array API and nothing more: it runs on array_api_strict, and gives there what NumPy gives."""

from collections.abc import Callable
from typing import Any

import array_api_strict as xp
import numpy as np
import pytest

import weedout_core as wc
from tests.core.bare_arrays import Bare
from weedout_core._compaction.unions import positions, union

KEYS = wc.random.split(wc.key(11), 3)
WORDS = wc.random.bits(KEYS, 40) & np.uint32(0xE0000001)  # full of ties
LOGITS = np.random.default_rng(0).normal(size=(2, 5, 3))
LABELS = np.asarray([0, 2, 1, 1, 0])
FITNESS = np.asarray([0.5, np.nan, np.inf, 2.0, 2.0])
SPACE = {"hidden_0": (6, 5), "hidden_1": (1,)}

CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "bits": (lambda key: wc.random.bits(key, 9), (KEYS,)),
    "fold_in": (lambda key: wc.random.fold_in(key, 2**32 - 1), (KEYS,)),
    "fold_in of an array": (wc.random.fold_in, (KEYS, np.arange(3, dtype=np.uint32))),
    "split": (lambda key: wc.random.split(key, 4), (wc.key(1),)),
    "order_keys": (wc.backend.order_keys, (WORDS,)),
    "keep_smallest": (lambda words: wc.backend.keep_smallest(words, 7), (WORDS,)),
    "exact masks": (lambda keys: wc.backend.masks_from_keys(keys, wc.mask_plan(SPACE, 0.4)), (KEYS,)),
    "Bernoulli masks": (lambda keys: wc.backend.masks_from_keys(keys, wc.mask_plan(SPACE, 0.4, "bernoulli")), (KEYS,)),
    "negative_cross_entropy": (wc.backend.negative_cross_entropy, (LOGITS, LABELS)),
    "accuracy": (wc.backend.accuracy, (LOGITS, LABELS)),
    "fitness of no class": (wc.backend.accuracy, (LOGITS, LABELS + 1)),
    "correct_classes": (wc.backend.correct_classes, (LOGITS, LABELS)),
    "predictions": (wc.backend.predictions, (LOGITS,)),
    "select": (wc.ask_tell.select, (FITNESS,)),
    "union": (lambda one, other: union([one, other], 9), (np.asarray([1, 5, 8]), np.asarray([0, 5]))),
    "positions": (positions, (np.asarray([2, 5]), np.asarray([0, 2, 3, 5]))),
    "random_search": (wc.ask_tell.random_search, (KEYS[0], FITNESS)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("made", [xp.asarray, lambda value: Bare(xp.asarray(value))], ids=["strict", "bare"])
def test_the_strict_namespace_gives_what_numpy_gives(name: str, made: Callable[..., Any]) -> None:
    """So does one without what some libraries lack, such as MLX."""
    function, arguments = CASES[name]
    expected, found = function(*arguments), function(*map(made, arguments))
    if not isinstance(expected, dict):
        expected, found = {"": expected}, {"": found}
    assert set(found) == set(expected)
    for site, value in expected.items():
        assert isinstance(found[site], type(made(0))), "the result must stay in the caller's namespace"
        # Both namespaces compute with NumPy, by the same operations in the same order: equal to the bit.
        np.testing.assert_array_equal(np.asarray(found[site]), value)
        assert np.asarray(found[site]).dtype == value.dtype
