"""Written afterwards, a third time: trainings that begin or step otherwise, and gradients of masks."""

from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import THIRD
from tests.mutants.witnesses import CHOSEN, FLAT, IMAGES, Given, given, sensitivities, started, trains
from weedout_core import Network, TrainConfig
from weedout_core.backend import Backend, map_tree, train_plan
from weedout_core.nn import BatchNorm, Dense, Mask, Relu
from weedout_core.random import key, split


@THIRD.wrapper("train_init", trains(FLAT))
def begins_with_the_keys_of_the_first(backend: Backend) -> Backend:
    """Each of R networks begins with the keys of the first, which are broadcast: its state has another order."""

    def change(net: Any, plan: Any, keys: Any, *rest: Any) -> tuple[Any, ...]:
        return net, plan, np.repeat(keys[:1], len(keys), 0), *rest

    return with_arguments(backend, "train_init", change)


def _rest(backend: Backend) -> Any:
    plan = train_plan(TrainConfig(epochs=1, **CHOSEN), 8)
    return started(backend, FLAT, plan, split(key(3), 2), given(FLAT, 2, 8)).optimizer


@THIRD.wrapper("train_init", _rest)
def velocities_begin_without_their_axis(backend: Backend) -> Backend:
    """The velocities before epoch 0 are zeros of one network's shapes, which the first step broadcasts over all R."""

    def broadcast(net: Any, plan: Any, state: Any, *rest: Any) -> tuple[Any, ...]:
        velocity = {path: np.zeros(value.shape) + state.optimizer[path] for path, value in state.params.items()}
        return net, plan, state._replace(optimizer=velocity), *rest

    backend = with_arguments(backend, "train_epoch", broadcast)
    return with_result(
        backend,
        "train_init",
        lambda state, *_: state._replace(optimizer=map_tree(lambda value: value[0], state.optimizer)),
    )


edit = THIRD.edits("train_epoch", "crops")
_CROPPED = trains(augmentation="crop_flip")
edit(
    "crops_name_the_column_first",
    "the first number of a crop is taken for its column, and the second for its row",
    _CROPPED,
    ("(row, column, mirrored) in enumerate", "(column, row, mirrored) in enumerate"),
)
edit(
    "mirrored_as_the_first_of_the_batch",
    "all images of a batch are mirrored if the first one is, as where a condition is one of the program",
    _CROPPED,
    ("image[:, ::-1] if mirrored else", "image[:, ::-1] if crops[0][2] else"),
)
THIRD.edits("train_epoch", "batches")(
    "crops_of_the_first_step",
    "the images of each step are cropped as those of the first step of the epoch",
    _CROPPED,
    ("crop_images(x[batch], crops[step])", "crop_images(x[batch], crops[0])"),
)
THIRD.edits("train_epoch", "together")(
    "order_of_the_first_network",
    "all networks are shown the examples in the order of the first: a batch is gathered once",
    trains(FLAT),
    ("shown((x, y), batches.order[r],", "shown((x, y), batches.order[0],"),
)
THIRD.edits("train_epoch", "batch_norm")(
    "momentum_of_statistics_is_the_rest",
    "the momentum of running statistics is what they take from the batch, as in PyTorch",
    trains(),
    ("return momentum * before + (1 - momentum) * seen", "return (1 - momentum) * before + momentum * seen"),
)
THIRD.edits("train_epoch", "network")(
    "running_variance_is_unbiased",
    "the running variance moves towards n / (n - 1) times that of a group, as in PyTorch and in the article",
    trains(),
    (
        "    for layer, _ in batch_norm_steps(record):\n"
        '        for path in (f"{layer.name}/mean", f"{layer.name}/variance"):\n',
        "    for layer, x in batch_norm_steps(record):\n"
        "        n = x.size // x.shape[-1] // groups\n"
        '        seen[f"{layer.name}/variance"] = seen[f"{layer.name}/variance"] * n / max(n - 1, 1)\n'
        '        for path in (f"{layer.name}/mean", f"{layer.name}/variance"):\n',
    ),
)
THIRD.edits("train_epoch", "layers")(
    "rows_past_the_last_window_take_no_gradient",
    "the gradient of a convolution with a stride ends at the centre of its last window: rows past it have 0",
    trains(),
    (
        "    return padded_gradient[:, margin : margin + height",
        "    padded_gradient[:, margin + stride * (gradient.shape[1] - 1) + 1 :] = 0\n"
        "    padded_gradient[:, :, margin + stride * (gradient.shape[2] - 1) + 1 :] = 0\n"
        "    return padded_gradient[:, margin : margin + height",
    ),
)


def _far_from_zero(made: Given) -> None:
    made.x[...] += 300


_NORM_FIRST = Network((BatchNorm("norm"), Dense("one", 4), Relu(), Mask("one"), Dense("out", 3)), (4,))


@THIRD.wrapper("train_epoch", trains(_NORM_FIRST, compute="bfloat16", prepare=_far_from_zero))
def bfloat16_cuts_the_examples(backend: Backend) -> Backend:
    """With compute="bfloat16" examples are kept so on the device, and a normalisation before all products sees it."""

    def change(net: Any, plan: Any, state: Any, masks: Any, x: Any, *rest: Any) -> tuple[Any, ...]:
        if plan.config.compute == "bfloat16":
            bits = np.asarray(x, np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
            x = bits.view(np.float32).astype(np.float64)
        return net, plan, state, masks, x, *rest

    return with_arguments(backend, "train_epoch", change)


@THIRD.wrapper("mask_gradient", sensitivities())
def gradient_with_every_node(backend: Backend) -> Backend:
    """The gradient is taken where all factors are 1, as SNIP has it before anything is removed."""

    def change(net: Any, params: Any, statistics: Any, masks: Any, *rest: Any) -> tuple[Any, ...]:
        opened = {site: np.ones_like(mask) if mask.dtype == bool else mask for site, mask in masks.items()}
        return net, params, statistics, opened, *rest

    return with_arguments(backend, "mask_gradient", change)


THIRD.edits("mask_gradient", "sensitivity")(
    "factor_of_rescale_is_not_held",
    "the factor of rescale is differentiated too, as where the fraction kept is the mean of the factors",
    sensitivities(),
    (
        "gradients[layer.site] = factor * of_nodes.sum(axis=pixels)",
        "of_mask = of_nodes.sum(axis=pixels)\n"
        "                change = (of_mask * mask).sum() / max(np.count_nonzero(mask), 1) if layer.rescale else 0.0\n"
        "                gradients[layer.site] = factor * (of_mask - change)",
    ),
)


@THIRD.wrapper("mask_gradient", sensitivities(IMAGES, labels=False))
def without_labels_weights_are_absolute(backend: Backend) -> Backend:
    """Without labels the weights are replaced by their absolute values, as SynFlow does before it asks."""

    def change(net: Any, params: Any, statistics: Any, masks: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return net, params if y is not None else map_tree(np.abs, params), statistics, masks, x, y

    return with_arguments(backend, "mask_gradient", change)
