"""A population is data: the keys of its candidates and the plan of their masks, not the masks themselves.

A candidate is named by its *origin*: the generation in which it was first drawn, and its number in it. Seed and origin
determine the candidate: its mask, and under ``weights="per_candidate"`` its initial weights.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from weedout_core._configs.search_config import SearchConfig
from weedout_core._guard.by_content import by_content
from weedout_core._guard.composed import several
from weedout_core._guard.guarded import guarded, kind_of
from weedout_core._guard.hosted import frozen
from weedout_core._guard.kinds import NonNegative, Positive
from weedout_core._masks.plan import MaskPlan, Masks
from weedout_core._random.annotations import Key, Keys
from weedout_core._random.keys import Stream, of_candidates

_CHUNK_NODES = 2**24  # mask nodes that may exist at once when the configuration does not say: 16 MiB of bool


class Origin(NamedTuple):
    """Where a candidate was first drawn.

    Attributes:
        generation: the number of the generation, ≥ 0.
        candidate: the candidate's number in that generation: 0 … m−1 in generation 0, and 1 … m−1 in later ones.
    """

    generation: NonNegative
    candidate: NonNegative


#: At least one origin.
Origins = Annotated[Sequence[Origin], several(kind_of(Origin), least=1)]


@by_content
class Population(NamedTuple):
    """Candidates to score.

    Attributes:
        size: the number of candidates, m ≥ 1.
        plan: how masks are drawn from keys; None if ``masks`` are given.
        mask_keys: the keys of the masks, uint32 ``(m, 2)``; None if ``masks`` are given.
        weight_keys: uint32 ``(m, 2)`` where each candidate draws its own initial weights, else None.
        masks: explicit masks {site: bool ``(m, *shape)``} in place of plan and keys, else None. They are arrays of
            NumPy or of the backend: hand them to its ``asarray`` before computing with them.
    """

    size: Positive
    plan: MaskPlan | None
    mask_keys: Keys | None
    weight_keys: Keys | None
    masks: Masks | None


def explicit_population(masks: Masks, size: int) -> Population:
    """A population of given masks: {site: bool ``(m, *shape)``}."""
    return Population(size, None, None, None, masks)


@guarded
def draw_population(
    key: Key,
    plan: MaskPlan,
    config: SearchConfig,
    origins: Origins,
) -> Population:
    """The candidates with these origins, in this order.

    Args:
        key: the root key of the search, uint32 ``(2,)``.
        plan: how masks are drawn.
        config: its ``weights`` decides whether each candidate has a key for weights of its own.
        origins: at least one.
    Raises:
        ConfigError: ``origins`` is empty, or an argument has a wrong type.
    """
    return population_of(key, plan, config, origins)


def population_of(key: Key, plan: MaskPlan, config: SearchConfig, origins: Sequence[Origin]) -> Population:
    """:func:`draw_population` for arguments that are checked already."""
    own = config.weights == "per_candidate"
    weight_keys = frozen(of_candidates(key, Stream.WEIGHTS, origins)) if own else None
    return Population(len(origins), plan, frozen(of_candidates(key, Stream.MASKS, origins)), weight_keys, None)


@guarded
def chunk_size(plan: MaskPlan, config: SearchConfig) -> int:
    """How many candidates' masks may exist at once: ``config.chunk``, or as many as have 2^24 nodes; at most m."""
    chunk = config.chunk or max(1, _CHUNK_NODES // max(1, plan.nodes))
    return min(chunk, config.population)
