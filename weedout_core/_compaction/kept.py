"""What a smaller network keeps of its parent: of arrays, of activations and of layers."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from weedout_core._networks.layers import Layer, Shape
from weedout_core.errors import ConfigError

#: The kept nodes of one site, or the union of those of several (``unions.union``).
Sites = tuple[str, ...]


class Kept(NamedTuple):
    """What one axis of an array keeps.

    Attributes:
        axis: counted from the end, below 0.
        sites: the sites whose kept nodes are what the axis keeps.
        positions: how many times these nodes follow one another: once for each pixel if an image was flattened.
        each: how many entries in a row belong to one node: those of a channel if its pixels lie side by side.
    """

    axis: int
    sites: Sites
    positions: int = 1
    each: int = 1


class Part(NamedTuple):
    """What a Gather takes of an activation.

    Attributes:
        sites: the sites whose kept nodes it takes.
        within: the sites whose kept nodes the activation keeps; () if the activation is whole.
        nodes: the number of nodes or channels of the activation in the parent.
    """

    sites: Sites
    within: Sites
    nodes: int


class Counts(NamedTuple):
    """What is known before any mask is drawn.

    Attributes:
        kept: {site: nodes kept}; a site that is not named keeps its mask.
        padded: whether candidates may keep fewer: then their masks stay, and remove what is kept too much.
    """

    kept: Mapping[str, int]
    padded: bool = False

    def keeps_all(self, site: str, shape: Shape) -> bool:
        """Whether a mask of this shape removes nothing."""
        return self.kept.get(site) == math.prod(shape)

    def of(self, sites: Sites) -> int:
        return sum(self.kept[site] for site in sites)


class Shrunk(NamedTuple):
    """Layers made smaller.

    Attributes:
        layers: the smaller layers.
        arrays: what their parameters and statistics keep, by path.
        masks: what their masks keep, by site.
        gathers: what each Gather takes, by name.
        carried: what their output keeps on its last axis; None is all of it.
    """

    layers: tuple[Layer, ...]
    arrays: dict[str, tuple[Kept, ...]]
    masks: dict[str, tuple[Kept, ...]]
    gathers: dict[str, Part]
    carried: Kept | None


def joined(parts: Sequence[Shrunk]) -> Shrunk:
    """All of them, one after the other. Raises ConfigError if Gather layers have one name but take different parts."""
    gathers = dict[str, Part]()
    for name, part in (gather for some in parts for gather in some.gathers.items()):
        if gathers.setdefault(name, part) != part:
            raise ConfigError(f"site {name!r} has the name that compaction gives to joined sites. Rename it.")
    return Shrunk(
        tuple(layer for some in parts for layer in some.layers),
        {path: kept for some in parts for path, kept in some.arrays.items()},
        {site: kept for some in parts for site, kept in some.masks.items()},
        gathers,
        parts[-1].carried,
    )
