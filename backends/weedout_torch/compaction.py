"""Gathering for each candidate the kept part of the shared weights and of its masks."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from weedout_core.backend import CompactedNetwork
from weedout_torch.devices import Tensor

Tree = Mapping[str, Tensor]


def kept_axes(small: CompactedNetwork, shared: Tree, indices: Tree) -> dict[str, dict[int, Tensor]]:
    """The indices that candidates keep of the arrays that they share, for each axis that is not kept whole.

    {path: ``shape``}, {site: int32 ``(R, kept)``} → {path: {axis: int32 ``(R, n)``}}. Axes are counted from the last.
    """
    thinned = [path for path, _ in small.arrays if path in shared]
    return each(lambda one: {path: small.axes(path, shared[path].shape, one) for path in thinned}, indices)


def gather_each(shared: Tree, axes: Mapping[str, Mapping[int, Tensor]]) -> dict[str, Tensor]:
    """Each candidate's part of the shared arrays: {path: ``shape``}, ``kept_axes`` → {path: ``(R, *smaller)``}.

    An array that all candidates keep whole is returned as it is.
    """
    return dict(shared) | {path: _gather(shared[path], kept) for path, kept in axes.items() if path in shared}


def _gather(array: Tensor, kept: Mapping[int, Tensor]) -> Tensor:
    """An array ``shape`` and the kept indices {axis: int32 ``(R, n)``}, axes counted from the last → ``(R, *smaller)``.

    Along the first of these axes the parts of all networks are copied at once, as rows if it is the array's first axis.
    """
    first, *others = kept
    nodes = kept[first]
    rows = array.index_select(first, nodes.flatten()).unflatten(first, nodes.shape)
    found = rows.movedim(first - 1, 0)
    for axis in others:
        shape = [1] * found.ndim
        shape[0], shape[axis] = kept[axis].shape
        wanted = [*found.shape]
        wanted[axis] = shape[axis]
        found = found.gather(axis, kept[axis].long().reshape(shape).expand(wanted))
    return found


def gather_masks(small: CompactedNetwork, masks: Tree, indices: Tree) -> dict[str, Tensor]:
    """The mask arguments of the smaller networks, for each candidate: from masks {site: bool ``(R, *shape)``}."""
    remaining = {site: masks[site] for site, _ in small.masks}
    return each(small.gather_masks, remaining, indices)


def each(one: Callable[..., Any], *trees: Tree) -> Any:
    """Apply ``one`` to each candidate, given as trees of tensors with a leading axis R."""
    leaves = [leaf for tree in trees for leaf in tree.values()]
    if not leaves or len(leaves[0]) > 1:
        return torch.func.vmap(one)(*trees) if leaves else one(*trees)
    # A single candidate is computed without vmap, whose overhead would exceed the work.
    return some_of(one(*(some_of(tree, 0) for tree in trees)), None)


def some_of(tree: Any, index: slice | int | None) -> Any:
    """Index the leading axis R of all tensors in a tree, nested trees included; None adds a leading axis."""
    return {name: some_of(of, index) for name, of in tree.items()} if isinstance(tree, Mapping) else tree[index]
