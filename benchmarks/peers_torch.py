"""PyTorch's peers: a loop, ``torch.func.vmap``, ``torch.nn.utils.prune``, Torch-Pruning; in each layout of images."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.prune import custom_from_mask

from benchmarks.networks_torch import (
    Block,
    Mlp,
    WideResNet,
    build,
    in_layout,
    inputs,
    laid_out,
    layouts,
    masks,
    torch_device,
)
from benchmarks.peer import NotExpressible, Peer
from benchmarks.task import Task


class Given(NamedTuple):
    """The task in PyTorch, all of it in one layout."""

    model: Mlp | WideResNet
    x: torch.Tensor
    y: torch.Tensor
    masks: dict[str, torch.Tensor]
    size: int
    layout: torch.memory_format


Make = Callable[[Task, Given], Peer]


def in_each_layout(make: Make, device: torch.device | None = None) -> Callable[[Task], dict[str, Peer]]:
    """The peers that ``make`` makes of a task, one in each layout, by what is added to the tool's name.

    ``device``: where; None is where PyTorch's peers run.
    """
    place = device or torch_device()

    def peers(task: Task) -> dict[str, Peer]:
        return {added: make(task, _given(task, layout, place)) for added, layout in layouts(task.x).items()}

    return peers


def _given(task: Task, layout: torch.memory_format, device: torch.device) -> Given:
    drawn = {site: laid_out(mask, layout) for site, mask in masks(task.masks, device).items()}
    return Given(
        in_layout(build(task.net, task.params, device), layout), laid_out(inputs(task.x, device), layout),
        torch.from_numpy(task.y).to(device), drawn, task.population.size, layout,
    )  # fmt: skip


def _each(size: int, score: Callable[[int], torch.Tensor]) -> Peer:
    """A loop over candidates; ``score`` gives the negative of the fitness."""

    def scores() -> np.ndarray:
        with torch.no_grad():
            return -torch.stack([score(i) for i in range(size)]).numpy(force=True)

    return Peer(scores)


def loop(task: Task, given: Given) -> Peer:
    """One candidate after the other, its masks multiplied."""
    return _each(given.size, lambda i: F.cross_entropy(given.model(given.x, _of(given.masks, i)), given.y))


def compiled(task: Task, given: Given) -> Peer:
    """The loop, its body through ``torch.compile``."""
    cost = torch.compile(lambda masks: F.cross_entropy(given.model(given.x, masks), given.y))
    return _each(given.size, lambda i: cost(_of(given.masks, i)))


def vmap(task: Task, given: Given) -> Peer:
    """All candidates side by side."""
    scored = torch.func.vmap(lambda masks: F.cross_entropy(given.model(given.x, masks), given.y))

    def scores() -> np.ndarray:
        with torch.no_grad():
            return -scored(given.masks).numpy(force=True)

    return Peer(scores)


def prune(task: Task, given: Given) -> Peer:
    """A copy of the model, on whose parameters ``custom_from_mask`` lays the masks."""
    if any(mask.ndim > 2 for mask in task.masks.values()):
        raise NotExpressible("it masks parameters, and a node of an image has none of its own.")
    device = torch_device()
    flat = {site: torch.from_numpy(mask).to(device) for site, mask in task.masks.items()}

    def score(i: int) -> torch.Tensor:
        candidate = copy.deepcopy(given.model)
        for site, layer in _leading_to_sites(candidate).items():
            mask = flat[site][i]
            custom_from_mask(layer, "bias", mask)
            custom_from_mask(layer, "weight", mask[:, None].expand_as(layer.weight) if layer.weight.ndim == 2 else mask)
        return F.cross_entropy(candidate(given.x), given.y)

    return _each(given.size, score)


def torch_pruning(task: Task, given: Given) -> Peer:
    """A copy of the model, from which the dependency graph removes the channels.

    A channel of the residual stream has readers whose masks differ, and the graph would remove it for all of them:
    there the masks stay.
    """
    if any(mask.ndim > 2 for mask in task.masks.values()):
        raise NotExpressible("it removes channels, and a mask of single nodes removes none.")
    import torch_pruning as tp

    inner = set(_removable(given.model))
    removed = {site: [np.flatnonzero(~one).tolist() for one in task.masks[site]] for site in inner}
    remaining = {site: mask for site, mask in given.masks.items() if site not in inner}

    def score(i: int) -> torch.Tensor:
        candidate = copy.deepcopy(given.model)
        with torch.enable_grad():  # the graph is traced through gradients
            graph = tp.DependencyGraph().build_dependency(candidate, example_inputs=given.x[:1])
        for site, layer in _removable(candidate).items():
            if removed[site][i]:
                is_linear = isinstance(layer, nn.Linear)
                cut = tp.prune_linear_out_channels if is_linear else tp.prune_conv_out_channels
                graph.get_pruning_group(layer, cut, idxs=removed[site][i]).prune()
        in_layout(candidate, given.layout)  # what is cut comes back in the default one
        return F.cross_entropy(candidate(given.x, _of(remaining, i)), given.y)

    return _each(given.size, score)


def _of(masks: Mapping[str, torch.Tensor], i: int) -> dict[str, torch.Tensor]:
    return {site: mask[i] for site, mask in masks.items()}


def _leading_to_sites(model: Mlp | WideResNet) -> dict[str, Any]:
    """The layer before each site's ReLU: with weight and bias 0 its node is 0."""
    if isinstance(model, Mlp):
        return {f"hidden_{index}": layer for index, layer in enumerate(model.hidden)}
    found: dict[str, Any] = {"pooled": model.norm}
    for block in _blocks(model):
        found |= {f"{block.name}/mask_0": block.norm_0, f"{block.name}/mask_1": block.norm_1}
    return found


def _removable(model: Mlp | WideResNet) -> dict[str, nn.Module]:
    """The layer whose outputs a site's nodes are, where nobody else reads them."""
    if isinstance(model, Mlp):
        return {f"hidden_{index}": layer for index, layer in enumerate(model.hidden)}
    return {f"{block.name}/mask_1": block.conv_0 for block in _blocks(model)}


def _blocks(model: WideResNet) -> list[Block]:
    return [block for block in model.blocks if isinstance(block, Block)]
