"""JAX's peer: all candidates under one ``vmap`` of their masks."""

import jax
import numpy as np

from benchmarks.networks_jax import Tree, logits_of
from benchmarks.peer import Peer
from benchmarks.task import Task


def vmap(task: Task, precision: str) -> Peer:
    """The fitness of all candidates, handed their masks as floats; products in "highest" or "default" precision."""
    logits = logits_of(task.net)
    params, x, y = jax.device_put((task.params, task.x, task.y.astype(np.int32)))
    masks = jax.device_put({site: mask.astype(np.float32) for site, mask in task.masks.items()})

    def fitness(masks: Tree) -> jax.Array:
        chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(logits(params, masks, x)), y[:, None], axis=-1)
        return chosen.mean()

    with jax.default_matmul_precision(precision):
        compiled = jax.jit(jax.vmap(fitness)).lower(masks)
    scored = compiled.compile()
    return Peer(lambda: np.asarray(scored(masks)))
