"""Scoring a population with other tools, each as its users would write it, well.

PyTorch peers are handed their masks; ours and evosax draw theirs inside the time.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from benchmarks.machine import torch_device
from benchmarks.networks_jax import logits_of
from benchmarks.networks_torch import Block, Mlp, WideResNet, build, inputs, masks
from benchmarks.task import Task

LOOP = "PyTorch loop"


class Peer(NamedTuple):
    """A tool that scores a population.

    Attributes:
        run: what is timed; it returns the fitness of every candidate when it is on the host.
        check: the fitness of the task's own masks, by the same arithmetic; None where ``run`` gives that.
    """

    run: Callable[[], np.ndarray]
    check: Callable[[], np.ndarray] | None = None


class NotExpressible(Exception):
    """The tool cannot express this search. The text says why."""


def search_peers(task: Task) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that can do this search, and why the others cannot."""
    makers = {
        LOOP: _loop,
        **({"PyTorch loop, channels_last": _loop_channels_last} if task.x.ndim == 4 else {}),
        "torch.func.vmap": _vmap,
        "torch.nn.utils.prune": _prune,
        "JAX vmap, evosax": _evosax,
        "Torch-Pruning": _torch_pruning,
    }
    found: dict[str, Peer] = {}
    left_out: dict[str, str] = {}
    for name, make in makers.items():
        try:
            found[name] = make(task)
        except (NotExpressible, ImportError) as error:
            left_out[name] = str(error)
    return found, left_out


class _Torch(NamedTuple):
    """The task in PyTorch."""

    model: Mlp | WideResNet
    x: torch.Tensor
    y: torch.Tensor
    masks: dict[str, torch.Tensor]
    size: int


def _in_torch(task: Task) -> _Torch:
    device = torch_device()
    return _Torch(
        build(task.net, task.params, device), inputs(task.x, device), torch.from_numpy(task.y).to(device),
        masks(task.masks, device), task.population.size,
    )  # fmt: skip


def _each(size: int, score: Callable[[int], torch.Tensor]) -> Peer:
    """A loop over candidates; ``score`` gives the negative of the fitness."""

    def scores() -> np.ndarray:
        with torch.no_grad():
            return -torch.stack([score(i) for i in range(size)]).numpy(force=True)

    return Peer(scores)


def _loop(task: Task) -> Peer:
    model, x, y, drawn, size = _in_torch(task)
    return _each(size, lambda i: F.cross_entropy(model(x, {site: mask[i] for site, mask in drawn.items()}), y))


def _loop_channels_last(task: Task) -> Peer:
    model, x, y, drawn, size = _in_torch(task)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    drawn = {
        site: mask.contiguous(memory_format=torch.channels_last) if mask.ndim == 4 else mask
        for site, mask in drawn.items()
    }
    return _each(size, lambda i: F.cross_entropy(model(x, {site: mask[i] for site, mask in drawn.items()}), y))


def _vmap(task: Task) -> Peer:
    model, x, y, drawn, _ = _in_torch(task)

    def scores() -> np.ndarray:
        with torch.no_grad():
            return -torch.func.vmap(lambda one: F.cross_entropy(model(x, one), y))(drawn).numpy(force=True)

    return Peer(scores)


def _prune(task: Task) -> Peer:
    """A copy of the model, on whose parameters ``custom_from_mask`` lays the masks."""
    if any(mask.ndim > 2 for mask in task.masks.values()):
        raise NotExpressible("it masks parameters, and a node of an image has none of its own.")
    model, x, y, _, size = _in_torch(task)
    device = torch_device()
    flat = {site: torch.from_numpy(mask).to(device) for site, mask in task.masks.items()}

    def score(i: int) -> torch.Tensor:
        candidate = copy.deepcopy(model)
        for site, layer in _leading_to_sites(candidate).items():
            mask = flat[site][i]
            prune.custom_from_mask(layer, "bias", mask)
            prune.custom_from_mask(
                layer, "weight", mask[:, None].expand_as(layer.weight) if layer.weight.ndim == 2 else mask
            )
        return F.cross_entropy(candidate(x), y)

    return _each(size, score)


def _leading_to_sites(model: Mlp | WideResNet) -> dict[str, Any]:
    """The layer before each site's ReLU: with weight and bias 0 its node is 0."""
    if isinstance(model, Mlp):
        return {f"hidden_{index}": layer for index, layer in enumerate(model.hidden)}
    found: dict[str, Any] = {"pooled": model.norm}
    for block in _blocks(model):
        found |= {f"{block.name}/mask_0": block.norm_0, f"{block.name}/mask_1": block.norm_1}
    return found


def _torch_pruning(task: Task) -> Peer:
    """A copy of the model, from which the dependency graph removes the channels.

    A channel of the residual stream has readers whose masks differ, and the graph would remove it for all of them:
    there the masks stay.
    """
    if any(mask.ndim > 2 for mask in task.masks.values()):
        raise NotExpressible("it removes channels, and a mask of single nodes removes none.")
    import torch_pruning as tp

    model, x, y, drawn, size = _in_torch(task)
    inner = set(_removable(model))
    removed = {site: [np.flatnonzero(~one).tolist() for one in task.masks[site]] for site in inner}

    def score(i: int) -> torch.Tensor:
        candidate = copy.deepcopy(model)
        with torch.enable_grad():  # the graph is traced through gradients
            graph = tp.DependencyGraph().build_dependency(candidate, example_inputs=x[:1])
        for site, layer in _removable(candidate).items():
            if removed[site][i]:
                is_linear = isinstance(layer, nn.Linear)
                cut = tp.prune_linear_out_channels if is_linear else tp.prune_conv_out_channels
                graph.get_pruning_group(layer, cut, idxs=removed[site][i]).prune()
        return F.cross_entropy(candidate(x, {s: mask[i] for s, mask in drawn.items() if s not in inner}), y)

    return _each(size, score)


def _removable(model: Mlp | WideResNet) -> dict[str, nn.Module]:
    """The layer whose outputs a site's nodes are, where nobody else reads them."""
    if isinstance(model, Mlp):
        return {f"hidden_{index}": layer for index, layer in enumerate(model.hidden)}
    return {f"{block.name}/mask_1": block.conv_0 for block in _blocks(model)}


def _blocks(model: WideResNet) -> list[Block]:
    return [block for block in model.blocks if isinstance(block, Block)]


def _evosax(task: Task) -> Peer:
    """evosax's random search over real vectors, of which the smallest elements are kept; all under one ``vmap``."""
    import jax
    import jax.numpy as jnp
    from evosax.algorithms import RandomSearch

    logits, kept = logits_of(task.net), task.plan.counts
    shapes = {site: mask.shape[1:] for site, mask in task.masks.items()}
    params, x, y = jax.device_put((task.params, task.x, task.y.astype(np.int32)))

    def mask(site: str, vector: jax.Array) -> jax.Array:
        keep = jnp.argsort(vector)[: kept[site]]
        return jnp.zeros(vector.shape).at[keep].set(1.0).reshape(shapes[site])

    def cost(solution: dict[str, jax.Array], params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        drawn = {site: mask(site, vector) for site, vector in solution.items()}
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits(params, drawn, x)), y[:, None], axis=-1)
        return -chosen.mean()

    costs = jax.vmap(cost, in_axes=(0, None, None, None))
    empty = {site: jnp.zeros(int(np.prod(shape))) for site, shape in shapes.items()}

    def sample(key: jax.Array) -> dict[str, jax.Array]:
        keys = jax.random.split(key, len(empty))
        return {site: jax.random.uniform(k, empty[site].shape) for k, site in zip(keys, empty, strict=True)}

    strategy = RandomSearch(task.population.size, empty, sample)
    settings = strategy.default_params

    @jax.jit
    def generation(key: jax.Array, state: Any, params: Any, x: jax.Array, y: jax.Array) -> tuple[Any, jax.Array]:
        ask, tell = jax.random.split(key)
        population, state = strategy.ask(ask, state, settings)
        fitness = costs(population, params, x, y)
        state, _ = strategy.tell(tell, population, fitness, state, settings)
        return state, fitness

    begin = strategy.init(jax.random.key(0), empty, settings)
    ours = {site: jnp.asarray(~one.reshape(len(one), -1), dtype=jnp.float32) for site, one in task.masks.items()}
    return Peer(
        lambda: -np.asarray(generation(jax.random.key(1), begin, params, x, y)[1]),
        lambda: -np.asarray(jax.jit(costs)(ours, params, x, y)),
    )
