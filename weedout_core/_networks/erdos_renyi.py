"""ERK: layers whose kernels have fewer weights keep a larger portion of their nodes."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from weedout_core._guard.guarded import guarded
from weedout_core._masks.allocation import Counting
from weedout_core._networks.layers import Conv, Dense, Layer, Mask, Residual, Shape, output_shape
from weedout_core._networks.mask_shapes import kernel_shape
from weedout_core._networks.network import Network, adopted, gather_space, mask_space
from weedout_core.errors import ConfigError


@guarded
def erk(net: Network) -> Counting:
    """The allocation of Evci et al., "Rigging the lottery: making all tickets winners" (ICML 2020).

    The Erdos-Renyi-Kernel: a site keeps a portion that is proportional to the sum of the sides of the
    kernel that leads to it over their product, ``(n_in + n_out + height + width) / (n_in · n_out · height · width)`` of
    a convolution and ``(n_in + n_out) / (n_in · n_out)`` of a dense layer. One factor scales all portions so that
    ``(1 − η)·N`` of N nodes are kept; a site whose portion would exceed 1 is kept whole, and all others are scaled
    again. Counts are computed in fractions of integers, with η as it is printed, and rounded, ``floor(x + 1/2)``, to at
    least 1. Masked weights are the kernel themselves; the kernel of a node is the one that leads to it, at the sum of a
    residual block the last one of its main branch.

    Args:
        net: the parent. It is made of this library's layers, and a kernel leads to each of its sites.
    Returns:
        the function (space, sparsity) -> {site: nodes kept}, for ``wc.mask_plan`` and ``SearchConfig.allocation``.
    Raises:
        ConfigError: the network is compacted, or an adopted model whose activations are masked; or a site masks the
            input.
    """
    space, shares = mask_space(net), _shares(net)

    def counts(of: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, int]:
        if dict(of) != space:
            raise ConfigError(f"the allocation erk is that of a network with the sites {space}; got {dict(of)}.")
        nodes = {site: math.prod(shape) for site, shape in space.items()}
        return _scaled(shares, nodes, (1 - Fraction(str(sparsity))) * sum(nodes.values()))

    return counts


def _shares(net: Network) -> dict[str, Fraction]:
    """For each site the number that its portion is proportional to."""
    if (model := adopted(net)) is not None and not model.places:
        return {held.path: _share(held.shape) for held in model.params if held.connections}
    if model is not None:
        raise ConfigError(
            f"the kernels that lead to a site are known of the library's own layers; got the adopted model "
            f'{model.name}. Take allocation="uniform" or "global", or a function of your own.'
        )
    if gather_space(net):
        raise ConfigError("erk counts the nodes of a parent; got a compacted network. Pass the one it is made of.")
    kernels: dict[str, Shape | None] = {}
    _kernels(net.layers, net.input_shape, None, kernels)
    if without := [site for site, kernel in kernels.items() if kernel is None]:
        raise ConfigError(
            f"erk needs a kernel that leads to each site; none leads to {without[0]!r}, which masks the input. Take "
            'allocation="uniform" or "global", or a function of your own.'
        )
    return {site: _share(kernel) for site, kernel in kernels.items() if kernel is not None}


def _share(kernel: Shape) -> Fraction:
    return Fraction(sum(kernel), math.prod(kernel))


def _kernels(
    layers: Sequence[Layer], shape: Shape, kernel: Shape | None, found: dict[str, Shape | None]
) -> Shape | None:
    """The shape of the last kernel on the way through layers; that before each site in passing.

    Args:
        shape: of the input.
        kernel: the last one before these layers.
        found: {site: kernel}, which grows.
    """
    for layer in layers:
        match layer:
            case Dense(name) | Conv(name):
                kernel = kernel_shape(layer, shape)
                if layer.connections:
                    found[f"{name}/kernel"] = kernel
            case Residual(main, shortcut):
                _kernels(shortcut, shape, kernel, found)
                kernel = _kernels(main, shape, kernel, found)
            case Mask(site):
                found[site] = kernel
            case _:
                pass
        shape = output_shape(layer, shape)
    return kernel


def _scaled(shares: Mapping[str, Fraction], nodes: Mapping[str, int], kept: Fraction) -> dict[str, int]:
    """Counts in proportion to ``share · nodes`` that sum to ``kept``, but for rounding, none above its site's nodes."""
    found = dict(nodes)
    rest: list[str] = [*nodes]
    while rest:
        left = kept - sum(count for site, count in nodes.items() if site not in rest)
        factor = left / sum((shares[site] * nodes[site] for site in rest), Fraction(0))
        if all(factor * shares[site] <= 1 for site in rest):
            return found | {
                site: max(math.floor(factor * shares[site] * nodes[site] + Fraction(1, 2)), 1) for site in rest
            }
        rest = [site for site in rest if factor * shares[site] <= 1]
    return found
