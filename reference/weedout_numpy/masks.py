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

How many nodes are removed "per each layer" is the *allocation*. By default it is the same portion everywhere. "One can
achieve the same level of sparsity, but from a global perspective, i.e. an arbitrary number of nodes from each layer
would be removed" (section 5): then all nodes of the network are one set, from which those with the smallest words stay.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, UInt32

from weedout_core import Network
from weedout_core.backend import MaskPlan, SitePlan
from weedout_core.errors import ConfigError
from weedout_core.nn import Conv, Dense, Layer, Mask, Residual
from weedout_numpy.randomness import Key, fold_in, path_code, random_bits
from weedout_numpy.shapes import Shape, kernel_shape, output_shape

Masks = Mapping[str, np.ndarray]
Counting = Callable[[Mapping[str, Shape], float], Mapping[str, int]]


def mask_plan(
    space: Mapping[str, tuple[int, ...]],
    sparsity: float | Mapping[str, float],
    sampling: str,
    allocation: str | Counting = "uniform",
) -> MaskPlan:
    """Turn sparsities into integers.

    Args:
        space: the shape of the mask at each site.
        sparsity: η in [0, 1), for all sites or one for each.
        sampling: "exact" or "bernoulli".
        allocation: "uniform"; "global"; or a function of the space and the sparsity that says how many nodes of each
            site are kept, such as ``erk`` makes for a network.
    Returns:
        what a mask is drawn by, a ``SitePlan`` for each site: its name, its shape, the number that stands for the name
        (``code``), how many nodes are kept, and for Bernoulli the largest word that keeps one (``bound``), else None.
        With "global" the plan has a ``total``, and the number of each site is only what is to be expected.
    """
    nodes = {site: math.prod(shape) for site, shape in space.items()}
    if allocation == "global" and not isinstance(sparsity, Mapping):
        total = max(sum(nodes.values()) - math.floor(sparsity * sum(nodes.values()) + 0.5), len(nodes))
        counts = expected_counts(nodes, total)
        return MaskPlan(
            tuple(SitePlan(site, space[site], path_code(site), counts[site], None) for site in space), total
        )
    if not isinstance(allocation, str) and not isinstance(sparsity, Mapping):
        counts = allocation(space, sparsity)
        sparsity = {site: 1 - counts[site] / nodes[site] for site in space}
    sites: list[SitePlan] = []
    for site, shape in space.items():
        eta = sparsity[site] if isinstance(sparsity, Mapping) else sparsity
        kept = count_kept(eta, math.prod(shape))
        bound = None if sampling == "exact" else bernoulli_bound(eta)
        sites.append(SitePlan(site, shape, path_code(site), kept, bound))
    return MaskPlan(tuple(sites))


def expected_counts(nodes: Mapping[str, int], total: int) -> dict[str, int]:
    """What each site may expect of a total: a portion as large as its portion of all nodes, rounded, at least one."""
    portion = Fraction(total, sum(nodes.values()))
    return {site: max(math.floor(portion * n + Fraction(1, 2)), 1) for site, n in nodes.items()}


def erk(net: Network) -> Counting:
    """The Erdos-Renyi-Kernel of Evci et al. ("Rigging the lottery", 2020), for nodes. Not in the paper.

    What is kept of a site is proportional to the sum of the sides of the kernel before it, over their product. So large
    layers lose most. No site can keep more than all of its nodes: the one that would exceed this most is kept whole,
    and the portions of all others are found anew.
    """
    density = {site: Fraction(sum(kernel), math.prod(kernel)) for site, kernel in kernels(net).items()}

    def counts(space: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, int]:
        kept = dict[str, int]()
        left = {site: math.prod(shape) for site, shape in space.items()}
        wanted = (1 - Fraction(str(sparsity))) * sum(left.values())
        while left:
            scale = wanted / sum((density[site] * n for site, n in left.items()), Fraction(0))
            fullest = max(left, key=lambda site: density[site])
            if scale * density[fullest] <= 1:
                return kept | {
                    site: max(math.floor(scale * density[site] * n + Fraction(1, 2)), 1) for site, n in left.items()
                }
            kept[fullest] = left.pop(fullest)
            wanted -= kept[fullest]
        return kept

    return counts


def smart_ratio(net: Network) -> Counting:
    """The portions of Su et al. ("Random tickets can win the jackpot", 2020), for masked weights. Not in the paper.

    Dense layers keep 30 %. What is left is shared by the convolutions: of L layers the l-th gets (L − l + 1)(L − l + 2)
    parts for each of its weights, in a network without residuals divided by l². What a layer cannot keep, because it
    has no more weights, the next one gets, and after the last convolution the dense layers.
    """
    plain = not any(isinstance(layer, Residual) for layer in net.layers)

    def counts(space: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, int]:
        sizes = {site: math.prod(shape) for site, shape in space.items()}
        parts = {
            site: Fraction((len(space) - place) * (len(space) - place + 1), (place + 1) ** 2 if plain else 1)
            * sizes[site]
            for place, (site, shape) in enumerate(space.items())
            if len(shape) == 4
        }
        dense = {site: Fraction(3, 10) * n for site, n in sizes.items() if site not in parts}
        left = (1 - Fraction(str(sparsity))) * sum(sizes.values()) - sum(dense.values())
        asked = {site: left * part / sum(parts.values()) for site, part in parts.items()} | dense
        kept, more = dict[str, int](), Fraction(0)
        for site, portion in asked.items():
            whole = min(portion + more, Fraction(sizes[site]))
            more = portion + more - whole
            kept[site] = max(math.floor(whole + Fraction(1, 2)), 1)
        return kept

    return counts


def kernels(net: Network) -> dict[str, tuple[int, ...]]:
    """The shape of the last kernel before each mask, or under it; after a residual's sum that of its main branch."""
    found: dict[str, tuple[int, ...]] = {}

    def through(layers: Sequence[Layer], shape: Shape, kernel: tuple[int, ...]) -> tuple[int, ...]:
        for layer in layers:
            match layer:
                case Dense(name) | Conv(name):
                    kernel = kernel_shape(layer, shape)
                    if layer.connections:
                        found[f"{name}/kernel"] = kernel
                case Residual(main, shortcut):
                    through(shortcut, shape, kernel)
                    kernel = through(main, shape, kernel)
                case Mask(site):
                    found[site] = kernel
                case _:
                    pass
            shape = output_shape(layer, shape)
        return kernel

    through(net.layers, net.input_shape, ())
    return found


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
    if plan.total is not None:
        return draw_over_all(key, plan, plan.total)
    return {site.site: draw_mask(key, site) for site in plan.sites}


def draw_over_all(key: Key, plan: MaskPlan, total: int) -> dict[str, np.ndarray]:
    """One candidate's masks if the nodes of all sites are one set, of which a total stays.

    At each site the node with the smallest word stays, the first one of equal words. The places that are left go to the
    smallest words of all other nodes; of equal words the earlier site comes first, and in a site the earlier node. A
    word of 0 counts as 1 among these: elsewhere 0 is what marks a site's smallest.
    """
    masks = {site.site: np.zeros(math.prod(site.shape), dtype=bool) for site in plan.sites}
    others: list[tuple[int, int, int]] = []
    for place, site in enumerate(plan.sites):
        words = random_bits(fold_in(key, site.code), math.prod(site.shape))
        first = int(words.argmin())
        masks[site.site][first] = True
        others += [(max(int(word), 1), place, node) for node, word in enumerate(words) if node != first]
    for _, place, node in sorted(others)[: total - len(plan.sites)]:
        masks[plan.sites[place].site][node] = True
    return {site.site: masks[site.site].reshape(site.shape) for site in plan.sites}
