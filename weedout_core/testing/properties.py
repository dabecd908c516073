"""How a check runs its properties: on how many examples, and on which combinations."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weedout_core.testing.cases import each_once, pairwise
from weedout_core.testing.trying import Explain, some, told

#: Compilation is slow, and drawing a network takes many choices. Neither is a fault that Hypothesis should report.
_ALLOWED = [HealthCheck.too_slow, HealthCheck.data_too_large]


#: Of so many examples and more, each two options meet; of fewer, each option comes once.
THOROUGH = 50


def combined(*factors: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Combinations of the values of some options, as many as the profile asks for; none where one has no value."""
    if not all(factors):
        return []
    return pairwise(*factors) if settings().max_examples >= THOROUGH else each_once(*factors)


def light(test: Callable[..., None], share: int = 1) -> Callable[..., None]:
    """Run a property on the profile's number of examples divided by ``share``, but on at least 4 examples."""
    examples = max(4, settings().max_examples // share)
    return told(settings(max_examples=examples, deadline=None, suppress_health_check=_ALLOWED)(test))


def half(test: Callable[..., None]) -> Callable[..., None]:
    """Run a property that compiles a small program for each example, on half of the profile's number of examples."""
    return light(test, share=2)


def heavy(test: Callable[..., None]) -> Callable[..., None]:
    """Run a property that compiles for each example, on a fifth of the profile's number of examples."""
    return light(test, share=5)


def across(
    *arguments: Sequence[st.SearchStrategy[Any]], explain: Explain | None = None, once: bool = False
) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Run a heavy property on every combination of strategies: each argument lists those for one parameter.

    The examples are divided evenly among the combinations, with at least one for each, so that it does not depend on
    chance which combinations are tried. If there is no combination, running it raises NothingToTry.

    Args:
        arguments: the strategies.
        explain: what can say why an example fails, see :func:`trying`.
        once: one example for each combination, whatever the profile says: the combinations are what decides.
    """

    def decorate(test: Callable[..., None]) -> Callable[[], None]:
        cases = list(itertools.product(*arguments))
        examples = 1 if once else max(1, settings().max_examples // 5 // max(1, len(cases)))

        def run() -> None:
            for case in some(cases):
                allowed = settings(max_examples=examples, deadline=None, suppress_health_check=_ALLOWED)
                told(allowed(given(*case)(test)), explain)()

        return run

    return decorate


def each(*values: Any) -> list[st.SearchStrategy[Any]]:
    """Strategies for :func:`across`: one for each value, which always draws it."""
    return [st.just(value) for value in values]
