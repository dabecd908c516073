"""Strategies (the paper's RSH): who survives a generation, and where the other candidates of the next come from.

Survivors open the next generation, fittest first. The others are drawn anew, or are children, which are bred from the
masks of the generation that was scored. Breeding is arithmetic of integers on the host: given equal fitness, children
are equal to the bit whatever computed it. A child keeps as many nodes as the plan says.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from weedout_core._algorithm.strategies.anew import random_search, select
from weedout_core._algorithm.strategies.binary_tournament import binary_tournament
from weedout_core._algorithm.strategies.genetic import genetic
from weedout_core._algorithm.strategies.halving import doubled, fitter_half, halved
from weedout_core._algorithm.strategies.one_plus_lambda import one_plus_lambda
from weedout_core._algorithm.strategies.own import Breed, own_children
from weedout_core.errors import ConfigError

__all__ = ["STRATEGIES", "Breed", "Strategy", "random_search", "select", "strategy_of"]

#: ``(number, generation) -> number``, from what generation 0 has.
Course = Callable[[int, int], int]


def _stays(number: int, generation: int) -> int:
    del generation
    return number


class Strategy(NamedTuple):
    """A random search heuristic.

    Attributes:
        survivors: ``(key, fitness) -> indices``, fittest first.
        children: how children are bred; None where candidates are drawn anew.
        population: how many candidates a generation has.
        examples: on how many validation examples it is scored, where there are so many.
    """

    survivors: Callable[[Any, Any], Any]
    children: Breed | None = None
    population: Course = _stays
    examples: Course = _stays


#: The strategies by name. In all of them the elite survives, and opens the next generation.
STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        "random_search": Strategy(random_search),
        "binary_tournament": Strategy(random_search, binary_tournament),
        "one_plus_lambda": Strategy(random_search, one_plus_lambda),
        "genetic": Strategy(random_search, genetic),
        "successive_halving": Strategy(fitter_half, population=halved, examples=doubled),
    }
)


def strategy_of(strategy: Any) -> Strategy:
    """A strategy from its name, or from a function of the user's that breeds; the elite alone survives it.

    Raises:
        ConfigError: the function is only named.
    """
    if callable(strategy):
        return Strategy(random_search, partial(own_children, cast(Breed, strategy)))
    if strategy not in STRATEGIES:
        raise ConfigError(f"the strategy {strategy} is only named. Hand in the function itself.")
    return STRATEGIES[strategy]
