"""A module of torchvision's: a search over the adopted resnet18, against hooks in a loop, and Torch-Pruning."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import weedout_core as wc
from benchmarks import machine
from benchmarks.ours import our_search
from benchmarks.section import Section, at_least, number, plainly, table
from benchmarks.task import Task, search_task
from benchmarks.timing import Say, Timed, alternate

_OURS, _HOOKS, _PRUNING = "weedout torch, adopted", "hooks in a loop", "Torch-Pruning, hooks at the rest"
_SPARSITY, _SIDE = 0.8, 32
_AGREEMENT = 1e-3  # of batch statistics; float32 sums in other orders, through 20 layers that are normalised
_LEAST = {"torchvision's stem": 1.4, "CIFAR's stem": 2.2}


def run(quick: bool, say: Say) -> Section:
    """resnet18 on images of 32 × 32, masks of channels, 4 candidates of one batch of 256."""
    size, batch, rounds = (2, 8, 2) if quick else (4, 256, 5)
    found: dict[str, dict[str, Timed]] = {}
    pruning, left_out = _torch_pruning()
    for stem in tuple(_LEAST)[: 1 if quick else None]:
        say(stem)
        module = _resnet(stem)
        net = wc.adopt(module, (3, _SIDE, _SIDE), backend="torch", granularity="channel")
        layer = cast(Any, net.layers[0])
        task = search_task(net, _SPARSITY, size, batch, dict(layer.model.params))
        runs: dict[str, Callable[[], np.ndarray]] = {_OURS: our_search(wc.load_backend("torch"), task).run}
        for name, masked in {_HOOKS: _hooked, **pruning}.items():
            runs[name] = lambda masked=masked, module=module, task=task: _each(
                task, lambda i: masked(module, _of(task, i), task.x)
            )
        found[stem] = alternate(runs, rounds, say, _check)
    peers = (_HOOKS, *pruning)
    rows = [[name, *(number(1e3 * timed[name].median / size) for timed in found.values())] for name in (_OURS, *peers)]
    text = [
        f"torchvision's resnet18, images of {_SIDE} × {_SIDE}, masks of channels at η = {_SPARSITY}, {size} "
        f"candidates, batch {batch}, statistics of the batch; float32. Torch-Pruning removes channels where one layer "
        "alone reads them, from a copy for each candidate, and hooks mask the rest. Before any timing the "
        f"fitness of all was the same within {_AGREEMENT:g}.",
        machine.description(),
        "Milliseconds a candidate:",
        table(["", *found], rows),
        "\n".join(
            line
            for stem, timed in found.items()
            for line in (
                at_least(f"{stem}: {_OURS}, times {_HOOKS}", _LEAST[stem], timed[_HOOKS].over(timed[_OURS])),
                *(plainly(f"{stem}: {_OURS}, times {name}", timed[name].over(timed[_OURS])) for name in pruning),
            )
        ),
        *left_out,
    ]
    return Section("Adopted, ResNet", "\n\n".join(text), {})


def _resnet(stem: str) -> nn.Module:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    module: Any = resnet18(num_classes=10)
    if stem == "CIFAR's stem":
        module.conv1, module.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return module


def _check(given: Mapping[str, Any]) -> None:
    for name, fitness in given.items():
        np.testing.assert_allclose(fitness, given[_HOOKS], atol=_AGREEMENT, err_msg=name)


def _of(task: Task, i: int) -> dict[str, torch.Tensor]:
    return {site: torch.from_numpy(mask[i]).float().view(1, -1, 1, 1) for site, mask in task.masks.items()}


def _each(task: Task, logits: Callable[[int], torch.Tensor]) -> np.ndarray:
    y = torch.from_numpy(task.y)
    with torch.no_grad():
        return np.array([-float(F.cross_entropy(logits(i), y)) for i in range(task.population.size)])


def _hooked(module: nn.Module, masks: Mapping[str, torch.Tensor], x: np.ndarray) -> torch.Tensor:
    """The logits of a module whose ReLU modules are masked by hooks, each call of one its own site."""
    calls: dict[str, int] = {}

    def hook(name: str, made: Any) -> torch.Tensor:
        calls[name] = calls.get(name, 0) + 1
        site = name if calls[name] == 1 else f"{name}#{calls[name]}"
        return made * masks[site] if site in masks else made

    handles = [
        part.register_forward_hook(lambda _part, _given, made, name=name: hook(name, made))
        for name, part in module.named_modules()
        if isinstance(part, nn.ReLU)
    ]
    logits = module.train()(torch.from_numpy(x))
    for handle in handles:
        handle.remove()
    return logits


def _torch_pruning() -> tuple[dict[str, Callable[..., torch.Tensor]], list[str]]:
    """The logits of a copy that lost the masked channels of each block's first convolution; or why there is no such."""
    try:
        import torch_pruning as tp
    except ImportError as error:
        return {}, [f"- {_PRUNING} is left out: {error}"]

    def pruned(module: nn.Module, masks: Mapping[str, torch.Tensor], x: np.ndarray) -> torch.Tensor:
        candidate: Any = copy.deepcopy(module)
        with torch.enable_grad():  # the graph is traced through gradients
            graph = tp.DependencyGraph().build_dependency(candidate, example_inputs=torch.from_numpy(x[:2]))
        inner = {name for name, _ in candidate.named_modules() if name.count(".") == 1 and name.startswith("layer")}
        for block in sorted(inner):
            gone = np.flatnonzero(masks[f"{block}.relu"].numpy() == 0).tolist()
            layer = candidate.get_submodule(f"{block}.conv1")
            graph.get_pruning_group(layer, tp.prune_conv_out_channels, idxs=gone).prune()
        rest = {site: mask for site, mask in masks.items() if site.removesuffix(".relu") not in inner}
        return _hooked(candidate, rest, x)

    return {_PRUNING: pruned}, []
