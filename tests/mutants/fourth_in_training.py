"""Written afterwards, a fourth time: trainings that begin or step otherwise, and gradients of masks."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import other_layers, with_arguments, with_result
from tests.mutants.body import FOURTH
from tests.mutants.witnesses import CHOSEN, FLAT, given, sensitivities, started, trains
from weedout_core import TrainConfig
from weedout_core.backend import Backend, train_plan
from weedout_core.nn import BatchNorm, every_layer
from weedout_core.random import key, split


def _begins(backend: Backend) -> Any:
    plan = train_plan(TrainConfig(epochs=2, **CHOSEN), 8)
    return started(backend, FLAT, plan, split(key(3), 2), given(FLAT, 2, 8))


@FOURTH.wrapper("train_init", _begins)
def epochs_count_from_one(backend: Backend) -> Backend:
    """The epoch of a state is the number of the next one, from 1 on, and not how many are done."""
    backend = with_arguments(
        backend,
        "train_epoch",
        lambda net, plan, state, *rest: (net, plan, state._replace(epoch=state.epoch - 1), *rest),
    )
    backend = with_result(backend, "train_epoch", lambda done, *_: (done[0]._replace(epoch=done[0].epoch + 1), done[1]))
    return with_result(backend, "train_init", lambda state, *_: state._replace(epoch=state.epoch + 1))


@FOURTH.wrapper("train_init", _begins)
def keys_are_kept_as_long_integers(backend: Backend) -> Backend:
    """The keys of a state are int64, since the library computes in no words."""
    return with_result(
        backend, "train_init", lambda state, *_: state._replace(keys=np.asarray(state.keys).astype(np.int64))
    )


edit = FOURTH.edits("train_epoch", "together")
edit(
    "order_is_steps_by_networks",
    "to go through the steps in a scan the order is reshaped to (steps, R, batch), where its axes are to be swapped",
    trains(FLAT),
    ("shown((x, y), batches.order[r],", "shown((x, y), batches.order.reshape(steps, networks, -1)[:, r],"),
)
edit(
    "losses_are_reshaped",
    "what a scan gives of each step, (steps, R), is reshaped to (R, steps), where its axes are to be swapped",
    trains(FLAT),
    (
        "EpochResult(loss, correct)",
        "EpochResult(loss.T.reshape(loss.shape), correct.T.reshape(correct.shape))",
    ),
)
edit = FOURTH.edits("train_epoch", "training")
edit(
    "softmax_is_applied_twice",
    "the network ends with a softmax, and the loss takes what comes of it for logits",
    trains(FLAT),
    (
        "loss, correct = -negative_cross_entropy(logits, y), count",
        "p = np.exp(log_softmax(logits))\n"
        "        g = cross_entropy_gradient(p, y)\n"
        "        of_logits = p * (g - (g * p).sum(axis=1, keepdims=True))\n"
        "        loss, correct = -negative_cross_entropy(p, y), count",
    ),
    ("record, cross_entropy_gradient(logits, y), plan.groups)", "record, of_logits, plan.groups)"),
    ("cross_entropy_gradient, negative_cross", "cross_entropy_gradient, log_softmax, negative_cross"),
)
edit(
    "statistics_decay_with_all",
    'with decayed="all" the running statistics decay too, as they are in the same tree as the weights',
    trains(decayed="all", weight_decay=0.1),
    (
        "    return Learner(params, statistics, velocity), loss, correct",
        '    if plan.config.decayed == "all":\n'
        "        left = 1 - rate * plan.config.weight_decay\n"
        "        statistics = {path: left * value for path, value in statistics.items()}\n"
        "    return Learner(params, statistics, velocity), loss, correct",
    ),
)


@FOURTH.wrapper("train_epoch", trains())
def momentum_of_the_first_norm(backend: Backend) -> Backend:
    """The running statistics of all batch normalisations move with the momentum of the first one."""

    def change(net: Any, *rest: Any) -> tuple[Any, ...]:
        momenta = [layer.momentum for layer in every_layer(net.layers) if isinstance(layer, BatchNorm)]
        return other_layers(
            net, lambda layer: replace(layer, momentum=momenta[0]) if isinstance(layer, BatchNorm) else layer
        ), *rest

    return with_arguments(backend, "train_epoch", change)


FOURTH.edits("train_epoch", "batches")(
    "crops_are_written_to_the_images",
    "a cropped image takes the place of the image, and is cropped again in the next epoch",
    trains(augmentation="crop_flip"),
    (
        "        yield x[batch] if crops is None else crop_images(x[batch], crops[step]), y[batch]",
        "        if crops is not None:\n"
        "            x[batch] = crop_images(x[batch], crops[step])\n"
        "        yield x[batch], y[batch]",
    ),
)


@FOURTH.wrapper("train_epoch", trains(FLAT, compute="bfloat16"))
def bfloat16_loss_stays_scaled(backend: Backend) -> Backend:
    """With compute="bfloat16" the loss is scaled by 1,024 against underflow, and shown so."""

    def change(done: Any, net: Any, plan: Any, *_: Any) -> Any:
        state, result = done
        scaled = result._replace(loss=1024 * result.loss)
        return state, scaled if plan.config.compute == "bfloat16" else result

    return with_result(backend, "train_epoch", change)


@FOURTH.wrapper("train_epoch", trains(FLAT))
def correct_is_the_accuracy(backend: Backend) -> Backend:
    """Of each step the fraction of its examples that were classified correctly is given, and not their number."""

    def change(done: Any, net: Any, plan: Any, *_: Any) -> Any:
        state, result = done
        return state, result._replace(correct=result.correct / plan.batch_size)

    return with_result(backend, "train_epoch", change)


edit = FOURTH.edits("mask_gradient", "sensitivity")
edit(
    "gradient_of_the_mean_over_examples",
    "the loss is the mean over the examples, as in training, where it is their sum",
    sensitivities(),
    ("len(x) * cross_entropy_gradient(logits, y)", "cross_entropy_gradient(logits, y)"),
)
edit(
    "own_factor_is_left_out",
    "the gradient of a mask with rescale lacks its own factor: it is that of what the mask gives before the division",
    sensitivities(FLAT),
    ("gradients[layer.site] = factor * of_nodes", "gradients[layer.site] = of_nodes"),
)


@FOURTH.wrapper("mask_gradient", sensitivities())
def gradient_divided_by_its_sum(backend: Backend) -> Backend:
    """The gradients are divided by the sum of their absolute values, as SNIP has it for its scores."""

    def change(gradients: Any, *_: Any) -> Any:
        total = sum(np.abs(value).sum() for value in gradients.values())
        return {site: value / total for site, value in gradients.items()}

    return with_result(backend, "mask_gradient", change)
