"""Going on with a search from generations that were scored before, which are first checked to be its own."""

from collections.abc import Sequence

from weedout_core._phases.ask_tell import Generation, SearchState, ended, told
from weedout_core._phases.beginning import SearchBeginning
from weedout_core._phases.differences import another, differences
from weedout_core.errors import ConfigError

#: Fields of the configuration that no fitness depends on: when the search ends, who wins, how much is in memory.
_OF_THE_END = ("generations", "patience", "budget", "winner", "chunk")
_REMEDY = "Hand in what it began with, or leave scored out."


def continued(state: SearchState, began: SearchBeginning, scored: Sequence[Generation]) -> SearchState:
    """The state of a search after generations that were scored before.

    Args:
        state: before generation 0.
        began: what the search begins with.
        scored: its first generations, in order.
    Raises:
        ConfigError: a generation is of another search, or was changed since it was scored.
    """
    for place, one in enumerate(scored):
        name = f"scored[{place}]"
        _check_began(name, one, began)
        if (stopped := ended(state)) is not None:
            raise ConfigError(f"scored must end with the search ({stopped}); got {name} after it. Leave it out.")
        state = _after(state, one, began, name)
    return state


def _check_began(name: str, one: Generation, began: SearchBeginning) -> None:
    if one.began is None:
        raise ConfigError(f"{name} must be a generation that wc.search gave; got one of a search by hand.")
    if differing := [fact for fact in differences(one.began, began) if fact not in _OF_THE_END]:
        first = min(differing, key=lambda fact: fact == "kept")  # which follows from the others, but for a function
        raise ConfigError(f"{another(name, 'search', first, one.began, began)}. {_REMEDY}")


def _after(state: SearchState, one: Generation, began: SearchBeginning, name: str) -> SearchState:
    """The state after a generation. Raises ConfigError if the generation does not follow from its fitness."""
    if one.fitness.shape == (len(state.origins),):
        after, again = told(state, one.fitness[state.remembered :], began)
        if again == one._replace(began=began):
            return after
    raise ConfigError(
        f"{name} must be generation {state.generation} of this very search, as it was scored; got generation "
        f"{one.generation}, or one that was changed since."
    )
