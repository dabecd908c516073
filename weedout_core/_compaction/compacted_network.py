"""A smaller network and its arrays: what each keeps of the parent's, and how arrays are taken from it and put back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from array_api_compat import array_namespace

from weedout_core._compaction.kept import Kept, Part, Sites
from weedout_core._compaction.unions import positions, union
from weedout_core._guard.composed import mapping
from weedout_core._guard.guarded import convert_fields, guarded
from weedout_core._guard.kinds import ARRAY, Positive
from weedout_core._guard.showing import brief
from weedout_core._guard.traced import beside
from weedout_core._masks.plan import Masks
from weedout_core._networks.layers import Shape
from weedout_core._networks.network import Network, gather_space, mask_space, parameter_shapes, statistic_shapes
from weedout_core.errors import ConfigError, MaskError

Tree = Annotated[Mapping[str, Any], mapping(ARRAY)]


@dataclass(frozen=True)
class CompactedNetwork:
    """A smaller network, and what its arrays keep of the parent's. Hashable.

    The methods check shapes, which are known while a program is traced, but no values. ``axes``, ``counters`` and
    ``gather_masks`` check nothing but shapes, because backends call them for each array of each candidate.

    Attributes:
        parent: the network from which it was made.
        net: the smaller network. Its masks include the indices of its :class:`Gather` layers.
        counts: (site, nodes kept) for the sites whose indices are needed.
        arrays: (path, what its axes keep) for parameters and statistics; one that is not named keeps everything.
        masks: (site, what its axes keep) for masks that remain; indices of the parent's own Gather layers remain.
        gathers: (name, what it takes) for each Gather layer.
    """

    parent: Network
    net: Network
    counts: tuple[tuple[str, Positive], ...]
    arrays: tuple[tuple[str, tuple[Kept, ...]], ...]
    masks: tuple[tuple[str, tuple[Kept, ...]], ...]
    gathers: tuple[tuple[str, Part], ...]

    __repr__ = brief

    def __post_init__(self) -> None:
        convert_fields(self, " of a CompactedNetwork")

    @property
    def sites(self) -> Sites:
        """The sites whose indices are needed."""
        return tuple(site for site, _ in self.counts)

    @guarded
    def gather(self, tree: Tree, indices: Tree) -> dict[str, Any]:
        """The part of parameters or statistics that is kept.

        Args:
            tree: the parent's, {path: array}, of any framework of the array API. An array whose path the parent does
                not have belongs to layers before it, and is returned as it is.
            indices: {site: int ``(kept,)``}, ascending, for each of ``sites``: see :func:`kept_indices`.
        Raises:
            ConfigError: an array does not have the parent's shape.
            MaskError: the indices of a site are missing, or their number is not that of the nodes it keeps.
        """
        return {
            path: _take(array, self.axes(path, array.shape, indices)) if path in self._shapes else array
            for path, array in tree.items()
        }

    def axes(self, path: str, shape: Sequence[int], indices: Tree) -> dict[int, Any]:
        """What the shortened axes of a parameter or statistic keep: {axis: int ``(n,)``}, the last axis being −1.

        Args:
            path, shape: the parameter or statistic, and its shape in the parent.
            indices: as for :meth:`gather`.
        Raises:
            ConfigError, MaskError: as :meth:`gather`, or the parent does not have the path.
        """
        if path not in self._shapes:
            raise ConfigError(
                f"{path!r} must be a parameter or statistic of the parent: see parameter_shapes and initial_statistics."
            )
        if tuple(shape) != self._shapes[path]:
            raise ConfigError(f"{path!r} must have the parent's shape {self._shapes[path]}; got {tuple(shape)}.")
        return self._axes(self._kept.get(path, ()), shape, indices)

    def counters(self, path: str, shape: Sequence[int], indices: Tree) -> Any:
        """The row-major positions of the kept part of a parameter in the parent's parameter.

        They are the counters of its random words, so that the kept part can be drawn alone (:func:`bits_at`). They
        have the shape of the kept part, and the dtype of the indices.

        Args:
            path, shape: the parameter, and its shape in the parent.
            indices: as for :meth:`gather`, for at least one site.
        Raises:
            ConfigError, MaskError: as :meth:`axes`.
        """
        if not indices:
            raise MaskError("indices must be given for at least one site, because counters have their dtype; got none.")
        xp = array_namespace(*indices.values())
        one = next(iter(indices.values()))
        like: Any = {"dtype": one.dtype, **beside(one)}
        kept = self.axes(path, shape, indices)
        counters = xp.zeros((1,) * len(shape), **like)
        for axis, length in enumerate(shape):
            nodes = kept.get(axis - len(shape), xp.arange(length, **like))
            steps = xp.reshape(nodes, [-1 if other == axis else 1 for other in range(len(shape))])
            counters = counters + steps * math.prod(shape[axis + 1 :])
        return counters

    def gather_masks(self, masks: Masks, indices: Tree) -> dict[str, Any]:
        """The masks of the smaller network: those that remain, and the indices of its Gather layers.

        Args:
            masks: the parent's, {site: bool ``shape``}; only those that remain are needed.
            indices: as for :meth:`gather`.
        Raises:
            MaskError: a mask that remains is missing or has another shape, or as :meth:`gather`.
        """
        remaining: dict[str, Any] = {}
        for site, kept in self.masks:
            wanted, shape = self._mask_shapes[site], _shape(masks.get(site))
            if shape != wanted:
                raise MaskError(f"the mask of site {site!r} remains and must have shape {wanted}; got {_word(shape)}.")
            remaining[site] = _take(masks[site], self._axes(kept, wanted, indices))
        return remaining | {name: self._taken(part, indices) for name, part in self.gathers}

    @guarded
    def expand(self, tree: Tree, indices: Tree, onto: Tree) -> dict[str, np.ndarray]:
        """The reverse of :meth:`gather`, in NumPy: write what is kept into a copy of the parent's arrays.

        Args:
            tree: the smaller network's parameters or statistics, {path: array}.
            indices: as for :meth:`gather`.
            onto: the parent's parameters or statistics, with the same paths.
        Raises:
            ConfigError: an array does not fit the smaller network or the parent.
            MaskError: as :meth:`gather`.
        """
        if missing := set(tree) - set(onto):
            raise ConfigError(f"onto must have the paths of the smaller tree; {min(missing)!r} is missing.")
        found: dict[str, np.ndarray] = {}
        for path, array in tree.items():
            found[path] = np.array(onto[path], dtype=array.dtype)
            part = kept_part(found[path].shape, self.axes(path, found[path].shape, indices))
            wanted = np.broadcast_shapes(*(nodes.shape for nodes in part))
            if array.shape != wanted:
                raise ConfigError(f"{path!r} must have the smaller network's shape {wanted}; got {array.shape}.")
            found[path][part] = array
        return found

    def _axes(self, kept: Sequence[Kept], shape: Sequence[int], indices: Tree) -> dict[int, Any]:
        return {one.axis: self._nodes(one, shape[one.axis], indices) for one in kept}

    def _nodes(self, kept: Kept, length: int, indices: Tree) -> Any:
        """The indices of what an axis of this length keeps: int ``(positions × nodes × each,)``."""
        nodes = self._union(kept.sites, length // (kept.positions * kept.each), indices)
        if kept.positions == kept.each == 1:
            return nodes
        xp, like = array_namespace(nodes), {"dtype": nodes.dtype, **beside(nodes)}
        starts = xp.arange(0, length, length // kept.positions, **like)
        return xp.reshape(starts[:, None, None] + nodes[:, None] * kept.each + xp.arange(kept.each, **like), (-1,))

    def _taken(self, part: Part, indices: Tree) -> Any:
        """The indices that a Gather takes, counted in what its input keeps: int ``(nodes,)``."""
        nodes = self._union(part.sites, part.nodes, indices)
        return positions(nodes, self._union(part.within, part.nodes, indices)) if part.within else nodes

    def _union(self, sites: Sites, nodes: int, indices: Tree) -> Any:
        return union([self._site(site, indices) for site in sites], nodes)

    def _site(self, site: str, indices: Tree) -> Any:
        wanted, shape = (self._counts[site],), _shape(indices.get(site))
        if shape != wanted:
            raise MaskError(
                f"the indices of site {site!r} must be those of the nodes that it keeps, of shape {wanted}; got "
                f"{_word(shape)}. Use kept_indices of a mask that keeps as many nodes."
            )
        return indices[site]

    # The fields as mappings. They are cached, because backends ask for each array of each candidate.

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        """The shapes of the parent's parameters and statistics."""
        return parameter_shapes(self.parent) | statistic_shapes(self.parent)

    @cached_property
    def _mask_shapes(self) -> dict[str, Shape]:
        """The shapes of the parent's masks, and of the indices of its Gather layers."""
        return mask_space(self.parent) | {name: (one.indices,) for name, one in gather_space(self.parent).items()}

    @cached_property
    def _kept(self) -> dict[str, tuple[Kept, ...]]:
        return dict(self.arrays)

    @cached_property
    def _counts(self) -> dict[str, int]:
        return dict(self.counts)


def kept_part(shape: Shape, kept: Mapping[int, Any]) -> Any:
    """A NumPy index of the kept part of an array of this shape. ``kept`` is what ``axes`` returned."""
    return np.ix_(*(kept.get(axis - len(shape), np.arange(length)) for axis, length in enumerate(shape)))


def _take(array: Any, kept: Mapping[int, Any]) -> Any:
    """Take what each axis keeps, the last axis first: JAX's compiler on a CPU then reads only what is left of it."""
    xp = array_namespace(array)
    for axis in sorted(kept, reverse=True):
        array = xp.take(array, kept[axis], axis=axis)
    return array


def _shape(array: Any) -> Shape | None:
    return tuple(array.shape) if hasattr(array, "shape") else None


def _word(shape: Shape | None) -> str:
    return "no array" if shape is None else str(shape)
