"""Scoring masks of single weights with other tools: perceptrons alone, each as its users would write it, well."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.prune import custom_from_mask

from benchmarks.networks_torch import torch_device
from benchmarks.peer import Peer
from benchmarks.task import Task


def weight_peers(task: Task) -> dict[str, Peer]:
    """PyTorch's peers, which are handed their masks, and a loop that draws them by a sort of random numbers."""
    device = torch_device()
    model = _module(task).to(device)
    x, y = (torch.from_numpy(value).to(device) for value in (task.x, task.y))
    masks = [torch.from_numpy(mask).to(device).mT.contiguous() for mask in task.masks.values()]
    floats = [mask.float() for mask in masks]
    kept = [int(mask[0].sum()) for mask in masks]
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]

    def cost(masks: Any) -> torch.Tensor:
        h = x
        for place, (layer, mask) in enumerate(zip(layers, masks, strict=True)):
            h = F.linear(torch.relu(h) if place else h, layer.weight * mask, layer.bias)
        return F.cross_entropy(h, y)

    def drawn(layer: nn.Linear, count: int) -> torch.Tensor:
        words = torch.rand(layer.weight.numel(), device=device)
        return torch.zeros_like(words).scatter_(0, words.topk(count, sorted=False).indices, 1).view_as(layer.weight)

    def pruned(i: int) -> torch.Tensor:
        candidate = copy.deepcopy(model)
        for layer, mask in zip((one for one in candidate if isinstance(one, nn.Linear)), masks, strict=True):
            custom_from_mask(layer, "weight", mask[i])
        return F.cross_entropy(candidate(x), y)

    def all_at_once() -> np.ndarray:
        with torch.no_grad():
            return -torch.func.vmap(cost)(floats).numpy(force=True)

    size = task.population.size
    return {
        "PyTorch loop": _loop(size, lambda i: cost([mask[i] for mask in floats])),
        "torch.func.vmap": Peer(all_at_once),
        "torch.nn.utils.prune": _loop(size, pruned),
        "PyTorch loop, drawing": _loop(size, lambda _: cost([drawn(*pair) for pair in zip(layers, kept, strict=True)])),
    }


def _module(task: Task) -> nn.Sequential:
    names = [path.removesuffix("/kernel") for path in task.masks]
    made: list[nn.Module] = []
    for name in names:
        kernel = torch.from_numpy(task.params[f"{name}/kernel"])
        layer = nn.Linear(kernel.shape[0], kernel.shape[1])
        with torch.no_grad():
            layer.weight.copy_(kernel.mT)
            layer.bias.copy_(torch.from_numpy(task.params[f"{name}/bias"]))
        made += [layer, nn.ReLU()]
    return nn.Sequential(*made[:-1])


def _loop(size: int, score: Callable[[int], torch.Tensor]) -> Peer:
    def scores() -> np.ndarray:
        with torch.no_grad():
            return -torch.stack([score(i) for i in range(size)]).numpy(force=True)

    return Peer(scores)
