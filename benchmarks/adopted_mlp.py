"""A user's own model: a search over an adopted nnx module, against her program in a loop over masks."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import weedout_core as wc
from benchmarks import machine
from benchmarks.ours import our_search
from benchmarks.section import Section, at_least, number, plainly, table
from benchmarks.task import Task, search_task
from benchmarks.timing import Say, Timed, alternate

_LOOP, _VMAP, _OURS = "jit, in a loop over masks", "jit of vmap over masks", "weedout jax, adopted"
_MASKED = 0.8  # the sparsity at which something is asked
_AGREEMENT = 1e-4  # float32 sums in other orders


class Mlp(nnx.Module):
    """The module, which takes masks too, as who searches by hand would write it."""

    def __init__(self, widths: Sequence[int]) -> None:
        rngs = nnx.Rngs(0)
        self.layers = nnx.List(nnx.Linear(*pair, rngs=rngs) for pair in pairwise(widths))

    def __call__(self, x: jax.Array, masks: Mapping[str, Any] = {}) -> jax.Array:
        *hidden, last = self.layers
        for layer, site in zip(hidden, _sites(len(hidden)), strict=True):
            x = nnx.relu(layer(x)) * masks.get(site, 1)
        return last(x)


def _sites(layers: int) -> list[str]:
    """What the activations are called when the module is adopted."""
    return ["relu", *(f"relu#{index + 2}" for index in range(layers - 1))]


def run(quick: bool, say: Say) -> Section:
    """An MLP 784-1024-1024-10, 100 candidates, batch 1,024."""
    widths, size, batch, rounds = ((16, 32, 32, 10), 4, 64, 2) if quick else ((784, 1024, 1024, 10), 100, 1024, 7)
    module, found = Mlp(widths), dict[float, dict[str, Timed]]()
    net = wc.adopt(module, widths[:1], backend="jax")
    for sparsity in (_MASKED,) if quick else (0.5, _MASKED, 0.9):
        say(f"sparsity {sparsity}")
        found[sparsity] = compare(module, net, sparsity, (size, batch, rounds), say)
    columns = [f"η = {sparsity}" for sparsity in found]
    some = list(found.values())

    def rows(shown: Callable[[Timed], float]) -> list[list[str]]:
        return [[name, *(number(shown(timed[name])) for timed in some)] for name in (_LOOP, _VMAP, _OURS)]

    at = found[_MASKED]
    text = [
        f"An nnx module {'-'.join(map(str, widths))}, {size} candidates, batch {batch:,}; float32. The loop calls one "
        "compiled program for each mask; it and the `vmap` are handed masks, ours draws them. Before any timing the "
        f"fitness of all was the same within {_AGREEMENT:g}.",
        machine.description(),
        "Milliseconds a candidate:",
        table(["", *columns], rows(lambda timed: 1e3 * timed.median / size)),
        "The first call, with what is compiled at it, seconds for all candidates:",
        table(["", *columns], rows(lambda timed: timed.first)),
        "\n".join([
            at_least(f"η = {_MASKED}: {_OURS}, times `jit` in a loop over masks", 4, at[_LOOP].over(at[_OURS])),
            plainly(f"η = {_MASKED}: {_OURS}, times `jit` of `vmap` over masks", at[_VMAP].over(at[_OURS])),
        ]),
    ]  # fmt: skip
    return Section("Adopted, MLP", "\n\n".join(text), {})


def compare(module: Mlp, net: wc.Network, sparsity: float, sizes: tuple[int, int, int], say: Say) -> dict[str, Timed]:
    """Time everybody, after a check that all give one fitness."""
    size, batch, rounds = sizes
    task = search_task(net, sparsity, size, batch, dict(cast(Any, net.layers[0]).model.params))
    loop, vmapped = _peers(module, task)
    runs = {_LOOP: loop, _VMAP: vmapped, _OURS: our_search(wc.load_backend("jax"), task).run}

    def check(given: Mapping[str, Any]) -> None:
        for name, fitness in given.items():
            np.testing.assert_allclose(fitness, given[_LOOP], rtol=_AGREEMENT, atol=_AGREEMENT, err_msg=name)

    return alternate(runs, rounds, say, check)


def _peers(module: Mlp, task: Task) -> tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]:
    """The fitness of all candidates: one program called for each, and one program for all."""
    graph, state = nnx.split(module)
    x, y = jax.device_put((task.x, task.y.astype(np.int32)))
    masks = jax.device_put({site: mask.astype(np.float32) for site, mask in task.masks.items()})
    each = [{site: mask[index] for site, mask in masks.items()} for index in range(task.population.size)]

    def fitness(state: Any, masks: Any) -> jax.Array:
        logits = jax.nn.log_softmax(nnx.merge(graph, state)(x, masks))
        return jnp.take_along_axis(logits, y[:, None], axis=-1).mean()

    one, all_of_them = jax.jit(fitness), jax.jit(jax.vmap(fitness, (None, 0)))
    return (
        lambda: np.array([one(state, masks) for masks in each]),
        lambda: np.asarray(all_of_them(state, masks)),
    )
