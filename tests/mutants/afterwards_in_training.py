"""Written afterwards: trainings that begin, step or end otherwise."""

from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.afterwards_in_networks import in_bfloat16
from tests.mutants.body import AFTERWARDS
from tests.mutants.witnesses import CHOSEN, FLAT, Given, given, started, trains
from weedout_core import TrainConfig
from weedout_core.backend import Backend, map_tree, train_plan
from weedout_core.random import key, split


def _infinite(backend: Backend) -> Any:
    """The velocities of a network of which a weight is infinite."""
    made = given(FLAT, 2, 8)
    made.params["one/kernel"][0, 0, 0] = np.inf
    plan = train_plan(TrainConfig(epochs=1, **CHOSEN), 8)
    return started(backend, FLAT, plan, split(key(3), 2), made).optimizer


@AFTERWARDS.wrapper("train_init", _infinite)
def rest_is_zero_times_the_weights(backend: Backend) -> Backend:
    """Velocities begin as 0 times the weights, which is NaN where one is not finite."""

    def change(state: Any, *_: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return state._replace(optimizer=map_tree(lambda value: 0 * value, state.params))

    return with_result(backend, "train_init", change)


@AFTERWARDS.wrapper("train_init", trains(FLAT, compute="bfloat16"))
def weights_begin_in_bfloat16(backend: Backend) -> Backend:
    """With compute="bfloat16" a training begins with kernels that are cut to bfloat16, where weights are float32."""

    def change(net: Any, plan: Any, keys: Any, params: Any, statistics: Any) -> tuple[Any, ...]:
        low = plan.config.compute == "bfloat16"
        return net, plan, keys, in_bfloat16(params) if low else params, statistics

    return with_arguments(backend, "train_init", change)


@AFTERWARDS.wrapper("train_init", trains(FLAT))
def biases_begin_at_zero(backend: Backend) -> Backend:
    """A training begins with biases of 0, whatever they were."""

    def change(net: Any, plan: Any, keys: Any, params: Any, statistics: Any) -> tuple[Any, ...]:
        params = {path: 0 * value if path.endswith("/bias") else value for path, value in params.items()}
        return net, plan, keys, params, statistics

    return with_arguments(backend, "train_init", change)


@AFTERWARDS.wrapper("train_epoch", trains(FLAT))
def losses_are_running_means(backend: Backend) -> Backend:
    """The loss of a step is the mean over the epoch so far, as Keras shows it."""

    def change(result: Any, *_: Any) -> Any:
        state, shown = result
        loss = np.cumsum(backend.to_numpy(shown.loss), axis=1) / np.arange(1, shown.loss.shape[1] + 1)
        return state, shown._replace(loss=backend.asarray(loss))

    return with_result(backend, "train_epoch", change)


@AFTERWARDS.wrapper("train_epoch", trains(FLAT, epochs=3))
def states_in_two_buffers(backend: Backend) -> Backend:
    """The new weights are in one of two buffers, in turn: after two epochs they are written over."""
    memory: dict[Any, np.ndarray] = {}

    def change(result: Any, *_: Any) -> Any:
        state, shown = result
        for path, value in state.params.items():
            memory.setdefault((path, value.shape, state.epoch % 2), np.array(value))[...] = value
        params = {path: memory[path, value.shape, state.epoch % 2] for path, value in state.params.items()}
        return state._replace(params=params), shown

    return with_result(backend, "train_epoch", change)


def _one_lost(made: Given) -> None:
    made.params["one/kernel"][0, 0, 0] = np.nan
    made.masks["one"][0] = True


@AFTERWARDS.wrapper("train_epoch", trains(FLAT, prepare=_one_lost))
def a_lost_network_loses_all(backend: Backend) -> Backend:
    """Where a loss of one network is not finite, the weights of all of them are NaN: it was the sum of all losses."""

    def change(result: Any, *_: Any) -> Any:
        state, shown = result
        if np.isfinite(shown.loss).all():
            return result
        lost = {path: backend.asarray(np.full(value.shape, np.nan)) for path, value in state.params.items()}
        return state._replace(params=lost), shown

    return with_result(backend, "train_epoch", change)


edit = AFTERWARDS.edits("train_epoch", "together")
edit(
    "labels_of_the_first_network",
    "the labels of a batch are those of the first network's examples",
    trains(FLAT),
    (
        "        seen = shown((x, y), batches.order[r],",
        "        labels = np.array(y)\n"
        "        labels[batches.order[r]] = y[batches.order[0]]\n"
        "        seen = shown((x, labels), batches.order[r],",
    ),
)
edit(
    "gradient_of_the_mean_over_networks",
    "the gradient is that of the mean of the losses of R networks, and so R times too small",
    trains(FLAT),
    (
        "from weedout_numpy.training import Learner,",
        "from weedout_numpy import training\nfrom weedout_numpy.training import Learner,",
    ),
    (
        "    networks, steps, _ = batches.order.shape\n",
        "    networks, steps, _ = batches.order.shape\n    training.NETWORKS = networks\n",
    ),
    (
        "training",
        "cross_entropy_gradient(logits, y), plan.groups",
        "cross_entropy_gradient(logits, y) / NETWORKS, plan.groups",
    ),
)
AFTERWARDS.edits("train_epoch", "crops")(
    "mirrored_before_the_crop",
    "an image is mirrored before it is cropped, so that the column of the crop counts from its other side",
    trains(augmentation="crop_flip"),
    ("image = np.pad(x[i], (border", "image = np.pad(x[i, :, ::-1] if mirrored else x[i], (border"),
    ("cropped[i] = image[:, ::-1] if mirrored else image", "cropped[i] = image"),
)
AFTERWARDS.edits("train_epoch", "batch_norm")(
    "groups_are_dealt_out",
    "examples are dealt out to the groups of batch normalisation in turn: a group is not a part in order",
    trains(batch_norm_group=2),
    (
        "    return np.concatenate([normalise(group, *moments(group), scale, bias, epsilon)"
        " for group in np.split(x, groups)])",
        "    y = np.zeros(x.shape)\n"
        "    for g in range(groups):\n"
        "        y[g::groups] = normalise(x[g::groups], *moments(x[g::groups]), scale, bias, epsilon)\n"
        "    return y",
    ),
    (
        "zip(np.split(x, groups), np.split(gradient, groups), strict=True)",
        "((x[g::groups], gradient[g::groups]) for g in range(groups))",
    ),
    (
        "    return np.concatenate(x_gradients), scale",
        "    whole = np.zeros(x.shape)\n"
        "    for g, part in enumerate(x_gradients):\n"
        "        whole[g::groups] = part\n"
        "    return whole, scale",
    ),
    ("(moments(group) for group in np.split(x, groups))", "(moments(x[g::groups]) for g in range(groups))"),
)
AFTERWARDS.edits("train_epoch", "network")(
    "gradients_in_bfloat16_at_highest",
    "what comes back to a dense layer of a network in training is cut to bfloat16, though the precision is highest",
    trains(FLAT, precision="highest", momentum=0.9),
    (
        "                    x, kernel(layer, params, masks), gradient\n                )\n            case Conv",
        "                    x, kernel(layer, params, masks), gradient if statistics is not None else\n"
        "                    (gradient.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)\n"
        "                    .astype(np.float64)\n                )\n            case Conv",
    ),
)
