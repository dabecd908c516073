"""A backend's own ``score_trained`` is a call as the others: its arguments are checked, and it runs in the fence."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.mutants.one_by_one import OneByOne, limited_scores, with_own
from weedout_core.backend import Examples
from weedout_core.errors import ConfigError, DataError
from weedout_core.testing import CHECKS


def test_arguments_in_another_order_are_shown_first() -> None:
    def turned(net: Any, params: Any, population: Any, batch: Any, limited: Any, scoring: Any) -> Any:
        raise AssertionError

    numpy = wc.load_backend("numpy")
    with pytest.raises(AssertionError, match="score_trained takes"):
        CHECKS["signatures"](replace(numpy, score_trained=turned), numpy)


def test_a_score_trained_of_ones_own_runs_in_the_fence() -> None:
    inside: list[bool] = []

    @contextmanager
    def fence() -> Iterator[None]:
        inside.append(True)
        yield
        inside.pop()

    class Seeing(OneByOne):
        def __call__(self, net: Any, params: Any, population: Any, batch: Any, scoring: Any, limited: Any) -> Any:
            return np.full(population.size, float(len(inside)))

    backend = with_own(replace(wc.load_backend("numpy"), fence=fence), Seeing)
    np.testing.assert_array_equal(limited_scores()(backend), np.ones(5))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ConfigError, "steps must be"),
        ({"key": np.zeros(3, np.uint32)}, ConfigError, "key"),
        (
            {"examples": Examples(np.zeros((9, 3), np.float32), np.zeros(9, np.int32))},
            DataError,
            "the training inputs must be",
        ),
        (
            {"examples": Examples(np.zeros((8, 4), np.float32), np.zeros(8, np.int32))},
            DataError,
            "for 9 examples; got 8",
        ),
    ],
)
def test_arguments_of_a_score_trained_of_ones_own_are_checked(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    backend = with_own(wc.load_backend("numpy"), OneByOne)
    own: Any = backend.score_trained

    def changed(*given: Any) -> Any:
        *rest, limited = given
        return own(*rest, limited._replace(**change))

    object.__setattr__(backend, "score_trained", changed)  # so that nothing checks what is changed
    with pytest.raises(error, match=message):
        limited_scores()(backend)
