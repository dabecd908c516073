"""evosax's random search over real vectors, of which the smallest elements are kept; all under one ``vmap``."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.networks_jax import logits_of
from benchmarks.peer import Peer
from benchmarks.task import Task


def evosax(task: Task) -> Peer:
    """A generation of its random search: ask, score, tell."""
    from evosax.algorithms import RandomSearch

    logits, kept = logits_of(task.net), task.plan.counts
    shapes = {site: mask.shape[1:] for site, mask in task.masks.items()}
    params, x, y = jax.device_put((task.params, task.x, task.y.astype(np.int32)))

    def mask(site: str, vector: jax.Array) -> jax.Array:
        keep = jax.lax.top_k(-vector, kept[site])[1]  # on a CPU three to four times as fast as argsort
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
