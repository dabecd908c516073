"""What candidates keep of common weights and of their masks, gathered for each of them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from weedout_core.backend import CompactedNetwork
from weedout_torch.devices import Tensor

Tree = Mapping[str, Tensor]


def kept_axes(small: CompactedNetwork, shared: Tree, indices: Tree) -> dict[str, dict[int, Tensor]]:
    """What candidates keep of the arrays that they share, by axis, counted from the last.

    {path: ``shape``}, {site: int32 ``(R, kept)``} → {path: {axis: int32 ``(R, n)``}}, where they do not keep all.
    """
    thinned = [path for path, _ in small.arrays if path in shared]
    return each(lambda one: {path: small.axes(path, shared[path].shape, one) for path in thinned}, indices)


def gather_each(shared: Tree, axes: Mapping[str, Mapping[int, Tensor]]) -> dict[str, Tensor]:
    """The kept part of each candidate: {path: ``shape``}, ``kept_axes`` → {path: ``(R, *smaller)``}.

    What all candidates keep whole stays as it is.
    """
    return dict(shared) | {path: _gather(shared[path], kept) for path, kept in axes.items() if path in shared}


def _gather(array: Tensor, kept: Mapping[int, Tensor]) -> Tensor:
    """``shape`` and, by axis counted from the last, int32 ``(R, n)`` → ``(R, *smaller)``.

    Along the first of the axes what all networks keep is copied at once, in rows where this is the first of the array.
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
    """What the smaller network takes for masks, of each candidate: masks {site: bool ``(R, *shape)``}."""
    remaining = {site: masks[site] for site, _ in small.masks}
    return each(small.gather_masks, remaining, indices)


def each(one: Callable[..., Any], *trees: Tree) -> Any:
    """What ``one`` gives for each candidate, on trees of tensors with a leading axis R."""
    leaves = [leaf for tree in trees for leaf in tree.values()]
    if not leaves or len(leaves[0]) > 1:
        return torch.func.vmap(one)(*trees) if leaves else one(*trees)
    # A single one goes without the detour, which costs more than what it does.
    return some_of(one(*(some_of(tree, 0) for tree in trees)), None)


def some_of(tree: Any, index: slice | int | None) -> Any:
    """Candidates of a tree of tensors with a leading axis R, the trees in it included; None: a new leading axis."""
    return {name: some_of(of, index) for name, of in tree.items()} if isinstance(tree, Mapping) else tree[index]
