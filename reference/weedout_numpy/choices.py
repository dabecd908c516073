"""Choices: which configurations the loop of ``algorithm1`` follows, and which it refuses. Not in the paper.

The paper leaves points open, and each is a field of :class:`weedout_core.SearchConfig`. Where another value of a field
would need another loop, this one follows the values in the table below. The others, such as an end of the search after
some generations without progress, are in ``weedout_core.search``, which runs on every backend, this one included.
"""

from collections.abc import Mapping

from weedout_core import SearchConfig
from weedout_core.errors import ConfigError

#: The fields whose other values would need another loop, and the values that this one follows.
SPELLED_OUT: Mapping[str, tuple[object, ...]] = {
    "strategy": ("random_search",),  # line 9: section 3's Random Search
    "patience": (None,),  # line 4: no end after some generations without a better fitness
    "budget": (None,),  # line 4: no end after a number of evaluations
    "batch_policy": ("fresh",),  # line 5: another batch in each generation
    "elite": ("rescore",),  # line 7: the elite is measured again on it
    "winner": ("last_generation", "best_overall"),  # line 11
    "fan": ("fan_in",),  # initial weights: their deviation follows from the inputs of a node
    "fan_counts": ("parent",),  # and these are the parent's, whatever a mask removes
    "batch_norm": ("batch",),  # line 7: statistics are those of the batch
}


def check_spelled_out(config: SearchConfig) -> None:
    """Raise ConfigError for a choice that the loop does not make.

    Limited training of networks with batch normalisation needs ``batch_norm="running"``, and is refused with it.
    """
    for name, values in SPELLED_OUT.items():
        if (chosen := getattr(config, name)) not in values:
            allowed = " or ".join(map(repr, values))
            raise ConfigError(
                f"the loop of Algorithm 1 spells out {name}={allowed} only; got {chosen!r}. Use weedout_core.search."
            )
