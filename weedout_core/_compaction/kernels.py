"""Which products the scoring of candidates consists of. They decide which engine of a backend is the fastest."""

from typing import Literal

from weedout_core._compaction.compacted_network import CompactedNetwork
from weedout_core._guard.guarded import guarded
from weedout_core._networks.connections import connection_sites
from weedout_core._networks.layers import Conv, every_layer

#: The products of candidates. "dense": matrix products alone. "shared kernels": convolutions too, most of them with a
#: kernel that all candidates share, as under masks of single nodes. "own kernels": convolutions too, most of them with
#: a kernel of each candidate's own, gathered for its channels or drawn for it.
Products = Literal["dense", "shared kernels", "own kernels"]


@guarded
def products(small: CompactedNetwork, own_weights: bool) -> Products:
    """Which products candidates compute from the first mask on.

    Side by side, convolutions with kernels of their own are grouped convolutions; with shared kernels they are one
    convolution of a larger batch.

    Args:
        small: the compacted network of the candidates.
        own_weights: whether each candidate draws weights of its own.
    """
    kernels = {f"{layer.name}/kernel" for layer in every_layer(small.net.layers) if isinstance(layer, Conv)}
    if not kernels:
        return "dense"
    own = kernels if own_weights else kernels & own_arrays(small)
    return "own kernels" if 2 * len(own) > len(kernels) else "shared kernels"


@guarded
def own_arrays(small: CompactedNetwork) -> frozenset[str]:
    """The arrays of which candidates with shared weights have a part, or a masked copy, of their own."""
    return frozenset((*(path for path, _ in small.arrays), *connection_sites(small.net)))
