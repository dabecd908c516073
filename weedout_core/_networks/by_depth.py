"""Smart ratio: later convolutions keep a smaller portion of their weights, and dense layers a fixed one."""

import math
from collections.abc import Mapping
from fractions import Fraction

from weedout_core._guard.guarded import guarded
from weedout_core._masks.allocation import Counting
from weedout_core._networks.connections import connection_sites
from weedout_core._networks.layers import Residual
from weedout_core._networks.models import Adopted
from weedout_core._networks.network import Network, mask_space
from weedout_core.errors import ConfigError

_DENSE = Fraction(3, 10)  # what a dense layer keeps


@guarded
def smart_ratio(net: Network) -> Counting:
    """The allocation of Su et al., "Sanity-checking pruning methods: random tickets can win the jackpot", NeurIPS 2020.

    For masked weights of networks with convolutions. Of L layers with masked weights, in order, layer l keeps a portion
    proportional to ``(L − l + 1)^2 + (L − l + 1)`` if it is a convolution, in a network without residuals divided by
    ``l^2``; and 30 % if it is dense. One factor scales the portions of convolutions so that all layers together keep
    ``(1 − η)·N`` of N weights. What a layer would keep beyond all of its weights goes to the next convolution, and from
    the last one to the dense layers. Counts are computed in fractions of integers, with η as it is printed, and
    rounded, ``floor(x + 1/2)``, to at least 1.

    Args:
        net: the parent, or an adopted model, whose models of residual networks are not told apart: its portions are
            those of residual networks. All of its sites are weights, those of a convolution among them.
    Returns:
        the function (space, sparsity) -> {site: weights kept}, for ``wc.mask_plan`` and ``SearchConfig.allocation``.
    Raises:
        ConfigError: a site masks an activation, or no site has the weights of a convolution. The function raises it
            where dense layers alone keep more than the sparsity leaves.
    """
    space, weights = mask_space(net), set(connection_sites(net))
    if others := [site for site in space if site not in weights]:
        raise ConfigError(
            f"smart_ratio is for masks of weights; {others[0]!r} masks an activation. Take a network with "
            'granularity="connection", or another allocation.'
        )
    if all(len(shape) < 3 for shape in space.values()):
        raise ConfigError(
            'smart_ratio needs convolutions whose weights are masked; got none. Take allocation="erk" or "uniform".'
        )
    portions = _portions(space, plain=not any(isinstance(layer, Residual | Adopted) for layer, _ in net.walked))

    def counts(of: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, int]:
        if dict(of) != space:
            raise ConfigError(
                f"the allocation smart_ratio is that of a network with the sites {space}; got {dict(of)}."
            )
        sizes = {site: math.prod(shape) for site, shape in space.items()}
        kept = _kept(sizes, portions, (1 - Fraction(str(sparsity))) * sum(sizes.values()))
        return {site: max(math.floor(count + Fraction(1, 2)), 1) for site, count in kept.items()}

    return counts


def _portions(space: Mapping[str, tuple[int, ...]], plain: bool) -> dict[str, Fraction]:
    """What each convolution keeps in proportion, by its site."""
    found: dict[str, Fraction] = {}
    for place, (site, shape) in enumerate(space.items()):
        left = len(space) - place
        if len(shape) > 2:
            found[site] = Fraction(left**2 + left, (place + 1) ** 2 if plain else 1)
    return found


def _kept(sizes: Mapping[str, int], portions: Mapping[str, Fraction], wanted: Fraction) -> dict[str, Fraction]:
    """How many weights each layer keeps, before they are rounded."""
    dense = {site: _DENSE * size for site, size in sizes.items() if site not in portions}
    left = wanted - sum(dense.values())
    if left <= 0:
        raise ConfigError(
            f"smart_ratio keeps 30 % of the {sum(sizes[site] for site in dense)} weights of dense layers, which is "
            f"more than the {float(wanted):.0f} that the sparsity leaves. Take a lower sparsity, or another allocation."
        )
    factor = left / sum((portions[site] * sizes[site] for site in portions), Fraction(0))
    kept, beyond = dict[str, Fraction](), Fraction(0)
    for site in (*portions, *dense):
        asked = beyond + (factor * portions[site] * sizes[site] if site in portions else dense[site])
        kept[site] = min(asked, Fraction(sizes[site]))
        beyond = asked - kept[site]
    return kept
