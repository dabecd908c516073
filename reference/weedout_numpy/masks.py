"""Masks: which nodes a candidate keeps. Paper, Algorithm 1, line 2, RandomSubNetwork(𝔑, η).

"We induce sparsity … by randomly deactivating a number of nodes from each layer of the network" (section 3); the
sparsity ratio η is the fraction of inactive nodes. A *site* is a place in the network where the outputs of a layer are
multiplied by a mask. It has a name, and a mask of its own. To draw the mask of a site with n nodes, each node gets a
*word*, a random integer of 32 bits. Then there are two ways:

* exact: remove a fixed number of nodes, η·n rounded, "a fixed portion of nodes … per each layer" (section 5). The nodes
  with the smallest words stay;
* Bernoulli: decide on each node alone, "a random 0/1 mask distributed randomly based on η" (section 3). It stays with
  probability 1 − η, namely if its word is at most a bound.

The paper supports both; exact is the default. Integers are compared with integers, so that no rounding of a float,
which hardware and libraries do differently, can change a mask. In both ways at least one node of a site stays, the one
with the smallest word: without any, nothing would go through the network.
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, UInt32

from weedout_core.backend import MaskPlan, SitePlan
from weedout_core.errors import ConfigError
from weedout_numpy.randomness import Key, fold_in, path_code, random_bits

Masks = Mapping[str, np.ndarray]


def mask_plan(space: Mapping[str, tuple[int, ...]], sparsity: float | Mapping[str, float], sampling: str) -> MaskPlan:
    """Turn sparsities into integers.

    Args:
        space: the shape of the mask at each site.
        sparsity: η in [0, 1), for all sites or one for each.
        sampling: "exact" or "bernoulli".
    Returns:
        what a mask is drawn by, a ``SitePlan`` for each site: its name, its shape, the number that stands for the name
        (``code``), how many nodes are kept, and for Bernoulli the largest word that keeps one (``bound``), else None.
    """
    sites: list[SitePlan] = []
    for site, shape in space.items():
        eta = sparsity[site] if isinstance(sparsity, Mapping) else sparsity
        kept = count_kept(eta, math.prod(shape))
        bound = None if sampling == "exact" else bernoulli_bound(eta)
        sites.append(SitePlan(site, shape, path_code(site), kept, bound))
    return MaskPlan(tuple(sites))


def count_kept(sparsity: float, nodes: int) -> int:
    """How many of n nodes stay: ``n − ⌊η·n + 1/2⌋``, and at least one."""
    removed = math.floor(sparsity * nodes + 0.5)
    return max(nodes - removed, 1)


def bernoulli_bound(sparsity: float) -> int:
    """The largest word that keeps a node: of the 2^32 words, ``(1 − η)·2^32`` (rounded, at least one) keep it."""
    keeping = math.floor((1 - sparsity) * 2**32 + 0.5)
    return min(max(keeping, 1), 2**32) - 1


def keep_smallest(bits: UInt32[np.ndarray, " n"], k: int) -> Bool[np.ndarray, " n"]:
    """Keep the k nodes with the smallest words, 1 ≤ k ≤ n: sort, and take the first k.

    All sets of k nodes are equally likely, but for the rare equal words (about n²/2³³ pairs among n nodes), of which a
    stable sort puts the earlier node first.

    Raises:
        ConfigError: k is out of range.
    """
    n = len(bits)
    if not 1 <= k <= n:
        raise ConfigError(f"keep_smallest needs 1 ≤ k ≤ {n}, the number of nodes; got {k}.")
    order = np.argsort(bits, kind="stable")
    kept = np.zeros(n, dtype=bool)
    kept[order[:k]] = True
    return kept


def draw_mask(key: Key, site: SitePlan) -> Bool[np.ndarray, "..."]:
    """One candidate's mask at one site, bool of the site's shape."""
    bits = random_bits(fold_in(key, site.code), math.prod(site.shape))
    kept = keep_smallest(bits, site.kept) if site.bound is None else (bits <= site.bound) | keep_smallest(bits, 1)
    return kept.reshape(site.shape)


def draw_masks(key: Key, plan: MaskPlan) -> dict[str, np.ndarray]:
    """One candidate's masks: {site: bool ``shape``}."""
    return {site.site: draw_mask(key, site) for site in plan.sites}
