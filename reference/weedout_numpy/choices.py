"""Choices: which configurations the loop of ``algorithm1`` follows, and which it refuses. Not in the paper.

The paper leaves points open, and each is a field of :class:`weedout_core.SearchConfig`. The loop spells out the paper's
side of them. The other sides, such as an end of the search after some generations without progress, are variations of
the same loop, which ``weedout_core.search`` has on every backend, this one included.
"""

from collections.abc import Mapping

from weedout_core import SearchConfig
from weedout_core.errors import ConfigError

#: The fields whose other values would need another loop, and the values that this one follows.
SPELLED_OUT: Mapping[str, tuple[object, ...]] = {
    "strategy": ("random_search",),
    "patience": (None,),
    "budget": (None,),
    "batch_policy": ("fresh",),
    "elite": ("rescore",),
    "winner": ("last_generation", "best_overall"),
    "fan": ("fan_in",),
    "fan_counts": ("parent",),
    "batch_norm": ("batch",),
}


def check_spelled_out(config: SearchConfig) -> None:
    """Raise ConfigError for a choice that the loop does not make."""
    for name, values in SPELLED_OUT.items():
        if (chosen := getattr(config, name)) not in values:
            allowed = " or ".join(map(repr, values))
            raise ConfigError(
                f"the loop of Algorithm 1 spells out {name}={allowed} only; got {chosen!r}. Use weedout_core.search."
            )
