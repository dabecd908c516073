"""Written afterwards, again: gradients of masks, and trainings that begin or step otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import AGAIN, AGAIN_OF_JAX
from tests.mutants.witnesses import CHOSEN, FLAT, IMAGES, Given, given, sensitivities, started, trains
from weedout_core import Network, TrainConfig
from weedout_core.backend import Backend, Batches, map_tree, train_plan
from weedout_core.errors import BackendError
from weedout_core.nn import Conv, Dense, GlobalAveragePool, Mask, Relu, every_layer
from weedout_core.random import key, split


def _a_channel_goes(made: Given) -> None:
    made.masks["channels"][:, 1] = False


@AGAIN.wrapper("mask_gradient", sensitivities(prepare=_a_channel_goes))
def gradient_of_removed_channels_is_zero(backend: Backend) -> Backend:
    """The gradient of a channel that is removed is 0; that of a node is right."""

    def change(gradients: Any, net: Any, params: Any, statistics: Any, masks: Any, *_: Any) -> Any:
        layers = [layer for layer in every_layer(net.layers) if isinstance(layer, Mask)]
        channels = {layer.site for layer in layers if layer.granularity == "channel"}
        return {
            site: np.where(masks[site], value, 0.0) if site in channels else value for site, value in gradients.items()
        }

    return with_result(backend, "mask_gradient", change)


AGAIN.edits("mask_gradient", "sensitivity")(
    "gradient_with_the_statistics_of_the_batch",
    "batch normalisation takes the statistics of the examples, as in training, and not those given",
    sensitivities(),
    ("np.asarray(x, dtype=np.float64), statistics)", "np.asarray(x, dtype=np.float64))"),
    ("of_logits, statistics=statistics).masked", "of_logits).masked"),
)


@AGAIN.wrapper("train_init", trains())
def begins_with_the_statistics_of_the_first(backend: Backend) -> Backend:
    """Each of R networks begins with the running statistics of the first, which are broadcast."""
    return with_arguments(
        backend,
        "train_init",
        lambda net, plan, keys, params, statistics: (
            net, plan, keys, params, map_tree(lambda value: np.repeat(value[:1], len(value), 0), statistics)
        ),
    )  # fmt: skip


def _refuses(backend: Backend) -> Any:
    """Whether an optimizer is refused that no library has."""
    made, plan = given(FLAT, 2, 8), train_plan(TrainConfig(epochs=1, batch_size=4), 8, optimizer="an optimizer")
    try:
        started(backend, FLAT, plan, split(key(3), 2), made)
    except BackendError:
        return True
    return False


AGAIN.edits("train_init", "together")(
    "optimizers_are_ignored",
    "an optimizer of the user's is neither taken nor refused: training goes on with SGD",
    _refuses,
    ("    if plan.optimizer is not None:\n", "    if plan.optimizer is ...:\n"),
)


def _some_twice(backend: Backend) -> Any:
    """An epoch in which some examples are twice in a batch."""
    made, plan, keys = given(FLAT, 2, 8), train_plan(TrainConfig(epochs=1, **CHOSEN), 8), split(key(3), 2)
    x, y, masks = backend.asarray(made.x), backend.asarray(made.y), map_tree(backend.asarray, made.masks)
    order = np.array([[[0, 0, 1, 2], [3, 4, 3, 3]]] * 2, dtype=np.int32)
    return backend.train_epoch(FLAT, plan, started(backend, FLAT, plan, keys, made), masks, x, y, Batches(order, None))


AGAIN.edits("train_epoch", "batches")(
    "examples_twice_in_a_batch_count_once",
    "the examples of a batch are a set: one that is in it twice counts once",
    _some_twice,
    (
        "    for step, batch in enumerate(order):\n",
        "    for step, batch in enumerate(order):\n"
        "        once = np.sort(np.unique(batch, return_index=True)[1])\n"
        "        batch = batch[once]\n",
    ),
    ("crop_images(x[batch], crops[step])", "crop_images(x[batch], crops[step][once])"),
)
_SMALL = Network((Conv("a", 3), Relu(), Mask("a"), GlobalAveragePool(), Dense("out", 3)), (3, 5, 2))
AGAIN.edits("train_epoch", "crops")(
    "border_at_most_the_image",
    "the border of a crop is at most as wide as the image, so that those of small images begin elsewhere",
    trains(_SMALL, augmentation="crop_flip"),
    (
        "        image = np.pad(x[i], (border, border, (0, 0)))[row : row + height, column : column + width]\n",
        "        high, wide = min(CROP_MARGIN, height), min(CROP_MARGIN, width)\n"
        "        row, column = min(row, 2 * high), min(column, 2 * wide)\n"
        "        image = np.pad(x[i], ((high, high), (wide, wide), (0, 0)))\n"
        "        image = image[row : row + height, column : column + width]\n",
    ),
)
AGAIN.edits("train_epoch", "training")(
    "decayed_by_a_word_in_the_path",
    "whatever has the word kernel in its path is decayed: the bias of a layer of this name too",
    trains(Network((Dense("kernel", 4), Relu(), Mask("a"), Dense("out", 3)), (4,)), weight_decay=0.1),
    ('path.endswith("/kernel")', '"kernel" in path'),
)


def _cut(rate: float) -> float:
    return float((np.float32(rate).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32))


def configured(backend: Backend, change: Any) -> Backend:
    """A backend whose epochs have another configuration: ``change(net, plan)``."""
    return with_arguments(
        backend, "train_epoch", lambda net, plan, *rest: (net, plan._replace(config=change(net, plan)), *rest)
    )


@AGAIN.wrapper("train_epoch", trains(FLAT, compute="bfloat16", learning_rate=1.99))
def bfloat16_cuts_the_rate(backend: Backend) -> Backend:
    """With compute="bfloat16" the learning rate is cut to bfloat16, where updates are float32."""

    def change(_: Any, plan: Any) -> Any:
        config = plan.config
        return replace(config, learning_rate=_cut(config.learning_rate)) if config.compute == "bfloat16" else config

    return configured(backend, change)


@AGAIN.wrapper("train_epoch", trains(batch_norm_group=1))
def groups_of_one_are_not_cut(backend: Backend) -> Backend:
    """A group of one example, which images may have, is taken for none: the whole batch is normalised."""

    def change(_: Any, plan: Any) -> Any:
        return replace(plan.config, batch_norm_group=None) if plan.config.batch_norm_group == 1 else plan.config

    return configured(backend, change)


def _two_trainings(backend: Backend) -> Any:
    return [trains(FLAT, momentum=momentum)(backend) for momentum in (0.0, 0.9)]


@AGAIN.wrapper("train_epoch", _two_trainings)
def configuration_of_the_first_training(backend: Backend) -> Backend:
    """The program of an epoch is compiled once for its network and sizes, with the configuration of the first call."""
    compiled: dict[Any, Any] = {}

    def change(net: Any, plan: Any) -> Any:
        sizes = plan.config.epochs, plan.steps, plan.batch_size, plan.groups, plan.config.augmentation
        return compiled.setdefault((net, sizes), plan.config)

    return configured(backend, change)


AGAIN.edits("train_epoch", "network")(
    "statistics_move_once_for_each_group",
    "the running statistics move after each group of a batch, by a step of the momentum each time",
    trains(batch_norm_group=2),
    (
        "    for layer, _ in batch_norm_steps(record):\n"
        '        for path in (f"{layer.name}/mean", f"{layer.name}/variance"):\n'
        "            after[path] = bn.running(before[path], seen[path], layer.momentum)\n",
        "    for layer, x in batch_norm_steps(record):\n"
        "        for group in np.split(x, groups):\n"
        '            for path, value in zip((f"{layer.name}/mean", f"{layer.name}/variance"), bn.moments(group)):\n'
        "                after[path] = bn.running(after[path], value, layer.momentum)\n",
    ),
)
AGAIN.edits("train_epoch", "together")(
    "masks_by_example_where_as_many_as_networks",
    "a mask (R, nodes) meets (R, examples, nodes) as it is: if a batch has R examples, each takes one of them",
    trains(FLAT, networks=4, examples=8),
    (
        "        mask = None if masks is None else nth(masks, r)\n        before",
        "        mask = None if masks is None else nth(masks, r)\n"
        "        if masks and networks == plan.batch_size > 1:\n"
        "            flat = len(net.input_shape) == 1\n"
        "            mask |= {site: value for site, value in masks.items() if flat and value.dtype == bool}\n"
        "        before",
    ),
)

_OF_JAX = AGAIN_OF_JAX.edits("train_epoch", "network")
_HALF = trains(IMAGES, compute="bfloat16", epochs=1)
_OF_JAX(
    "averages_in_bfloat16",
    "with compute=bfloat16 the average over an image is computed in bfloat16, where all but products is float32",
    _HALF,
    ("h = jnp.mean(h, axis=(1, 2)).T", "h = jnp.mean(h.astype(how.compute), axis=(1, 2)).astype(h.dtype).T"),
)
_OF_JAX(
    "branches_are_added_in_bfloat16",
    "with compute=bfloat16 the branches of a residual are added in bfloat16, where all but products is float32",
    _HALF,
    ("h = one + other", "h = (one.astype(how.compute) + other.astype(how.compute)).astype(one.dtype)"),
)
