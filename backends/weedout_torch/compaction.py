"""What candidates keep of common weights and of their masks, gathered for each of them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from weedout_core.backend import CompactedNetwork
from weedout_torch.devices import Tensor

Tree = Mapping[str, Tensor]


def gather_each(small: CompactedNetwork, tree: Tree, indices: Tree) -> dict[str, Tensor]:
    """The kept part of each candidate: {path: ``shape``}, {site: int32 ``(R, kept)``} → {path: ``(R, *smaller)``}.

    What all candidates keep whole stays as it is.
    """
    smaller = {
        path: _gather(tree[path], each(lambda one, path=path: small.axes(path, tree[path].shape, one), indices))
        for path, _ in small.arrays
        if path in tree
    }
    return dict(tree) | smaller


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
    found = one(*({name: leaf[0] for name, leaf in tree.items()} for tree in trees))
    return {name: leaf.unsqueeze(0) for name, leaf in found.items()}
