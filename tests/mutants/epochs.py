"""Epochs: mutants that take for granted where an epoch begins, or leave the wrong state behind."""

from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.conformance.wrong_training import with_epoch, with_state
from tests.mutants.body import EPOCHS
from tests.mutants.witnesses import FLAT, IMAGES, given, started, trains
from weedout_core import TrainConfig
from weedout_core.backend import Backend, epoch_batches, map_tree, train_plan
from weedout_core.nn import initial_statistics
from weedout_core.random import fold_in, key, split


@EPOCHS.wrapper("train_epoch", trains(IMAGES, epochs=1))
def first_statistics_taken_for_granted(backend: Backend) -> Backend:
    """Epoch 0 begins with means 0 and variances 1, whatever the state says."""

    def change(net: Any, plan: Any, state: Any, *rest: Any) -> tuple[Any, ...]:
        fresh = {path: np.stack([value] * len(state.keys)) for path, value in initial_statistics(net).items()}
        return net, plan, state if state.epoch else state._replace(statistics=map_tree(backend.asarray, fresh)), *rest

    return with_arguments(backend, "train_epoch", change)


@EPOCHS.wrapper("train_init", trains(IMAGES, epochs=1))
def begins_with_fresh_statistics(backend: Backend) -> Backend:
    """train_init gives means 0 and variances 1, and not the statistics that it is given."""

    def change(state: Any, net: Any, plan: Any, keys: Any, *_: Any) -> Any:
        fresh = {path: np.stack([value] * len(keys)) for path, value in initial_statistics(net).items()}
        return state._replace(statistics=map_tree(backend.asarray, fresh))

    return with_result(backend, "train_init", change)


def _moving_at_first(backend: Backend) -> Any:
    made, keys = given(FLAT, 2, 8), split(key(3), 2)
    plan = train_plan(TrainConfig(epochs=1, batch_size=4, batch_norm_group=None), 8)
    state = started(backend, FLAT, plan, keys, made)
    state = state._replace(optimizer={path: value + 1 for path, value in state.params.items()})
    masks, x, y = map_tree(backend.asarray, made.masks), backend.asarray(made.x), backend.asarray(made.y)
    return backend.train_epoch(FLAT, plan, state, masks, x, y, epoch_batches(list(keys), 0, plan))


@EPOCHS.wrapper("train_epoch", _moving_at_first)
def rest_taken_for_granted(backend: Backend) -> Backend:
    """Epoch 0 begins with velocities 0, whatever the state says."""

    def change(state: Any, *rest: Any) -> tuple[Any, ...]:
        still = map_tree(lambda value: 0 * value, state.optimizer)
        return state if state.epoch else state._replace(optimizer=still), *rest

    return with_epoch(backend, change)


@EPOCHS.wrapper("train_epoch", trains(FLAT, start=2, epochs=1, momentum=0.9))
def rest_after_two_epochs(backend: Backend) -> Backend:
    """From the third epoch on each begins from rest."""

    def change(state: Any, *rest: Any) -> tuple[Any, ...]:
        still = map_tree(lambda value: 0 * value, state.optimizer)
        return state._replace(optimizer=still) if state.epoch > 1 else state, *rest

    return with_epoch(backend, change)


@EPOCHS.wrapper("train_epoch", trains(FLAT, epochs=2))
def masks_in_the_first_epoch_alone(backend: Backend) -> Backend:
    """Masks are applied in epoch 0, as if the weights were removed for good."""
    return with_epoch(backend, lambda state, masks, *rest: (state, None if state.epoch else masks, *rest))


def _order_of_another(backend: Backend) -> Any:
    made, keys = given(FLAT, 2, 8), split(key(3), 2)
    plan = train_plan(TrainConfig(epochs=1, batch_size=4, batch_norm_group=None), 8)
    state = started(backend, FLAT, plan, keys, made)
    masks, x, y = map_tree(backend.asarray, made.masks), backend.asarray(made.x), backend.asarray(made.y)
    return backend.train_epoch(FLAT, plan, state, masks, x, y, epoch_batches(list(split(key(8), 2)), 0, plan))


@EPOCHS.wrapper("train_epoch", _order_of_another)
def own_order_from_the_keys(backend: Backend) -> Backend:
    """The order is drawn from the keys once more, and one that is handed in otherwise is not followed."""

    def change(net: Any, plan: Any, state: Any, masks: Any, x: Any, y: Any, batches: Any) -> tuple[Any, ...]:
        del batches
        return net, plan, state, masks, x, y, epoch_batches(list(np.asarray(state.keys)), state.epoch, plan)

    return with_arguments(backend, "train_epoch", change)


@EPOCHS.wrapper("train_epoch", trains(FLAT))
def keys_move_on(backend: Backend) -> Backend:
    """The state's keys are replaced by their children, so that the next epoch has another order."""

    def change(after: Any, before: Any, *_: Any) -> Any:
        return after._replace(keys=np.stack([fold_in(one, before.epoch) for one in np.asarray(before.keys)]))

    return with_state(backend, change)


@EPOCHS.wrapper("train_epoch", trains(FLAT, epochs=1, momentum=0.9))
def velocities_of_the_first_network(backend: Backend) -> Backend:
    """After an epoch each of R networks has the velocities of the first."""

    def change(after: Any, *_: Any) -> Any:
        return after._replace(optimizer=map_tree(lambda value: 0 * value + value[:1], after.optimizer))

    return with_state(backend, change)


@EPOCHS.wrapper("train_epoch", trains(IMAGES, epochs=1))
def statistics_are_the_mean_over_networks(backend: Backend) -> Backend:
    """Running statistics are averaged over the R networks, as over the replicas of one."""

    def change(after: Any, *_: Any) -> Any:
        return after._replace(
            statistics=map_tree(lambda value: 0 * value + value.mean(axis=0, keepdims=True), after.statistics)
        )

    return with_state(backend, change)


@EPOCHS.wrapper("train_epoch", trains(FLAT, epochs=1, weight_decay=0.1))
def removed_weights_are_erased(backend: Backend) -> Backend:
    """After an epoch the weights that lead to removed nodes of Dense layers are 0; the contract trains on from them."""

    def change(result: Any, net: Any, plan: Any, state: Any, masks: Any, *_: Any) -> Any:
        params = dict(result[0].params)
        for site, mask in (masks or {}).items():
            kernel = params.get(f"{site}/kernel")
            if kernel is not None and kernel.ndim == 3 and kernel.shape[-1:] == mask.shape[1:]:
                params[f"{site}/kernel"] = kernel * mask[:, None, :]
        return result[0]._replace(params=params), result[1]

    return with_result(backend, "train_epoch", change)


edit = EPOCHS.edits("train_epoch", "together")
_RATES = "[state.epoch * plan.steps :][:steps]"
edit(
    "rates_of_the_first_epoch",
    "the schedule begins anew in each epoch",
    trains(FLAT, schedule="cosine"),
    (_RATES, "[:steps]"),
)
edit(
    "rates_of_the_last_epoch_at_most",
    "from the third epoch on the rates are those of the second",
    trains(FLAT, epochs=3, schedule="cosine"),
    (_RATES, "[min(state.epoch, 1) * plan.steps :][:steps]"),
)
edit(
    "warm_up_in_each_epoch",
    "the first epoch's rates are its own, and the warm-up comes again after it",
    trains(FLAT, epochs=3, warmup_epochs=1),
    (_RATES, "[state.epoch % 2 * plan.steps :][:steps]"),
)
edit(
    "losses_of_the_first_network",
    "each network shows the losses of the first",
    trains(FLAT, epochs=1),
    ("EpochResult(loss, correct)", "EpochResult(np.repeat(loss[:1], networks, 0), correct)"),
)
edit(
    "crops_of_the_first_network",
    "each network is shown the crops of the first",
    trains(IMAGES, epochs=1, augmentation="crop_flip"),
    ("batches.crops[r])", "batches.crops[0])"),
)
edit(
    "masks_of_the_first_network",
    "each network has the mask of the first",
    trains(FLAT, epochs=1),
    (
        "mask = None if masks is None else nth(masks, r)\n        before",
        "mask = None if masks is None else nth(masks, 0)\n        before",
    ),
)

edit = EPOCHS.edits("train_epoch", "training")
edit(
    "velocity_a_step_behind",
    "the velocities that are kept are those before the last step",
    trains(FLAT, epochs=2, momentum=0.9),
    ("    return learner, losses, correct", "    return learner._replace(velocity=last), losses, correct"),
    (
        "        learner, loss, right = train_step",
        "        last = learner.velocity\n        learner, loss, right = train_step",
    ),
)
edit(
    "averages_without_the_beginning",
    "the first statistics of a training are those of its first step (no average)",
    trains(IMAGES, epochs=1),
    (
        "statistics = running_statistics(before.statistics, record, plan.groups)",
        "statistics = running_statistics(before.statistics, record, plan.groups)\n"
        "        if not any(value.any() for value in before.velocity.values()):\n"
        "            from weedout_numpy.network import batch_statistics\n"
        "            statistics = batch_statistics(record, plan.groups)",
    ),
)
edit(
    "statistics_of_the_updated_network",
    "the batch goes through the network again after the step, for its statistics",
    trains(IMAGES, epochs=1),
    (
        "        params, velocity = update(before.params, before.velocity, gradients, rate, plan.config)\n",
        "        params, velocity = update(before.params, before.velocity, gradients, rate, plan.config)\n"
        "        record = forward(net.layers, params, mask, x, groups=plan.groups)[1]\n"
        "        statistics = running_statistics(before.statistics, record, plan.groups)\n",
    ),
)
