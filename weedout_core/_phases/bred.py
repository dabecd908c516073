"""The masks of a search that breeds them. An origin does not say what they are: the state of the search holds them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.population import Origin
from weedout_core._algorithm.strategies import strategy_of
from weedout_core._algorithm.strategies.breeding import thinned
from weedout_core._algorithm.strategies.checks import Masks
from weedout_core._configs.search_config import SearchConfig
from weedout_core._guard.by_content import by_content
from weedout_core._guard.hosted import frozen
from weedout_core._masks.plan import MaskPlan, masks_from_keys
from weedout_core._random.annotations import Key
from weedout_core._random.keys import Stream, of_candidates
from weedout_core._random.stream import split


@by_content
class Bred(NamedTuple):
    """Masks as bits, eight nodes a byte, the first in the highest bit; what is over in the last byte is 0.

    Attributes:
        masks: of the candidates of the generation to come, {site: uint8 ``(m, bytes)``}.
        elites: of the elite of each generation so far, {site: uint8 ``(generations, bytes)``}.
    """

    masks: Mapping[str, np.ndarray]
    elites: Mapping[str, np.ndarray]


class Parents(NamedTuple):
    """The generation that was scored.

    Attributes:
        plan, root: how masks are drawn, and the key of the search.
        origins: of its candidates.
        bred: their masks, where they were bred.
    """

    plan: MaskPlan
    root: Key
    origins: Sequence[Origin]
    bred: Bred | None

    @property
    def masks(self) -> Masks:
        """{site: bool ``(m, nodes)``}."""
        if self.bred is not None:
            return {site.site: _bits(self.bred.masks[site.site], site.nodes) for site in self.plan.sites}
        drawn = masks_from_keys(of_candidates(self.root, Stream.MASKS, self.origins), self.plan)
        return {site: mask.reshape(len(mask), -1) for site, mask in drawn.items()}


def bred(
    parents: Parents, config: SearchConfig, key: Key, survivors: Sequence[int], fitness: np.ndarray
) -> Bred | None:
    """The masks of the next generation; None where the strategy draws candidates anew.

    Args:
        parents: the generation that was scored.
        config: its ``strategy``, ``population`` and ``mutation`` are used.
        key: what the strategy draws from.
        survivors: the indices of the candidates that go on, the elite first.
        fitness: float64 ``(m,)``.
    """
    if (breed := strategy_of(config.strategy).children) is None:
        return None
    masks = parents.masks
    children = breed(key, parents.plan, masks, fitness, config.population - len(survivors), config.mutation)
    packed = _packed({site: np.concatenate([mask[[*survivors]], children[site]]) for site, mask in masks.items()})
    elites = {site: bits[:1] for site, bits in packed.items()}
    if (before := parents.bred) is not None:
        elites = {site: frozen(np.concatenate([before.elites[site], elite])) for site, elite in elites.items()}
    return Bred(packed, elites)


def at_plan(known: Bred, key: Key, before: MaskPlan, after: MaskPlan) -> Bred:
    """Masks of one plan as masks of another, of which a part is drawn from the key: see ``thinned``."""
    masks = {site.site: _bits(known.masks[site.site], site.nodes) for site in before.sites}
    keys = split(key, len(next(iter(masks.values()))))
    return known._replace(masks=_packed(thinned(keys, masks, before, after)))


def led_by(known: Bred, elite: int) -> Bred:
    """Masks whose first one is that of an elite, by the number of its generation."""
    first = {site: bits[elite : elite + 1] for site, bits in known.elites.items()}
    return known._replace(
        masks={site: frozen(np.concatenate([first[site], bits[1:]])) for site, bits in known.masks.items()}
    )


def unpacked(packed: Mapping[str, np.ndarray], plan: MaskPlan) -> dict[str, np.ndarray]:
    """{site: uint8 ``(*batch, bytes)``} → {site: bool ``(*batch, *shape)``}."""
    return {
        site.site: _bits(packed[site.site], site.nodes).reshape(*packed[site.site].shape[:-1], *site.shape)
        for site in plan.sites
    }


def _packed(masks: Masks) -> dict[str, np.ndarray]:
    return {site: frozen(np.packbits(mask, axis=1)) for site, mask in masks.items()}


def _bits(packed: np.ndarray, nodes: int) -> np.ndarray:
    return np.unpackbits(packed, axis=-1, count=nodes).astype(np.bool_)
