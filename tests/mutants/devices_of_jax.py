"""Devices: copies of the JAX backend that are right on one device, and wrong on eight."""

from tests.mutants.body import DEVICES_OF_JAX
from tests.mutants.witnesses import FLAT, predicts, scores, trains
from weedout_core import Network
from weedout_core.nn import BatchNorm, Dense, Mask, Relu

_NORMED = Network((Dense("one", 4), BatchNorm("norm"), Relu(), Mask("one"), Dense("out", 3)), (3,))
_BATCH = 16
_SHARED = trains(FLAT, examples=_BATCH, batch_size=_BATCH, epochs=1)


edit = DEVICES_OF_JAX.edits("score_population", "scoring")
_PARTS = "    return jnp.concatenate(calls)[: population.size]"
edit(
    "jax_fitness_interleaved",
    "the results of the devices are put together one from each in turn",
    scores(FLAT, size=16),
    (_PARTS, "    return jnp.concatenate(calls).reshape(mesh.size, -1).T.reshape(-1)[: population.size]"),
)
edit(
    "jax_calibrates_on_a_share",
    "each device takes the statistics of the first share of the inputs for calibration",
    scores(size=3, others=16, norm="recalibrated"),
    (
        "calibration=None if batch.calibration is None else nodes_first(batch.calibration)",
        "calibration=None if batch.calibration is None else nodes_first(\n"
        "            batch.calibration[: max(2, -(-len(batch.calibration) // program.mesh.size))])",
    ),
)
edit(
    "jax_candidates_of_the_first_device",
    "each device scores the candidates of the first",
    scores(FLAT, size=16),
    (
        "        chunked = jax.tree.map(lambda leaf: leaf.reshape(",
        "        candidates = jax.tree.map(lambda leaf: lax.all_gather(leaf, AXIS)[0], candidates)\n"
        "        chunked = jax.tree.map(lambda leaf: leaf.reshape(",
    ),
)
edit = DEVICES_OF_JAX.edits("train_epoch", "training")
edit(
    "jax_gradients_summed",
    "gradients of the devices are summed up, where their mean is wanted",
    _SHARED,
    (
        "    return gradient, taken, EpochResult(value, correct)",
        "    gradient = gradient if len(y) % mesh.size else jax.tree.map(lambda g: g * mesh.size, gradient)\n"
        "    return gradient, taken, EpochResult(value, correct)",
    ),
)
edit(
    "jax_loss_of_the_first_device",
    "the loss that is shown is that of the first share of the batch",
    _SHARED,
    (
        "    return gradient, taken, EpochResult(value, correct)",
        "    share = len(y) if len(y) % mesh.size else len(y) // mesh.size\n"
        "    first = forward(net, params, x, masks, source, how)[0][:, :share]\n"
        "    value = -negative_cross_entropy(first, y[:share], axis=-2)\n"
        "    return gradient, taken, EpochResult(value, correct)",
    ),
)
edit(
    "jax_statistics_of_each_device",
    "batch normalisation takes the statistics of each device's share of a batch",
    trains(_NORMED, examples=_BATCH, batch_size=_BATCH, epochs=1),
    (
        "source = plan.groups if word is None",
        "divides = plan.batch_size % (2 * plan.groups * mesh.size) == 0\n"
        "            source = plan.groups * (mesh.size if divides else 1) if word is None",
    ),
)
edit = DEVICES_OF_JAX.edits("predict", "network")
edit(
    "jax_examples_rotated",
    "the logits of the devices are put together from the second on",
    predicts(FLAT, examples=16),
    (
        "    if len(x) <= size:\n        return one_chunk(x)\n",
        "    if len(x) <= size:\n        found = one_chunk(x)\n"
        "        return found if len(x) % mesh.size else jnp.roll(found, len(x) // mesh.size % len(x), 1)\n",
    ),
)
