"""What candidates keep of common weights and of their masks, gathered for each of them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from weedout_core import Compaction
from weedout_torch.devices import Tensor

Tree = Mapping[str, Tensor]


def gather_each(small: Compaction, tree: Tree, indices: Tree) -> dict[str, Tensor]:
    """The kept part of each candidate: {path: ``shape``}, {site: int32 ``(R, kept)``} → {path: ``(R, *smaller)``}.

    What all candidates keep whole stays as it is.
    """
    smaller = {path: tree[path] for path, _ in small.arrays if path in tree}
    return dict(tree) | each(lambda one: small.gather(smaller, one), indices)


def gather_masks(small: Compaction, masks: Tree, indices: Tree) -> dict[str, Tensor]:
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
