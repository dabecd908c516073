"""Devices: mutants that train wrongly where several devices share a batch. NumPy says that it has eight."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import DEVICES
from tests.mutants.witnesses import FLAT, trains
from weedout_core import Network
from weedout_core.backend import Backend
from weedout_core.nn import BatchNorm, Dense, Mask, Relu

_NORMED = Network((Dense("one", 4), BatchNorm("norm"), Relu(), Mask("one"), Dense("out", 3)), (3,))
_BATCH = 16
_SHARED = trains(FLAT, examples=_BATCH, batch_size=_BATCH, epochs=1)


@DEVICES.wrapper("train_epoch", _SHARED)
def rate_for_each_device(backend: Backend) -> Backend:
    """The rate is multiplied by the number of devices, as is usual where each has a batch of its own."""

    def change(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        config = replace(plan.config, learning_rate=plan.config.learning_rate * backend.devices)
        return net, plan._replace(config=config), *rest

    return with_arguments(backend, "train_epoch", change)


@DEVICES.wrapper("train_epoch", trains(_NORMED, examples=_BATCH, batch_size=_BATCH, epochs=1))
def group_for_each_device(backend: Backend) -> Backend:
    """Batch normalisation takes the statistics of each device's share, where it is asked for the whole batch's."""

    def change(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        share = plan.batch_size // backend.devices
        if plan.groups == 1 and plan.batch_size % backend.devices == 0 and share > 1:
            plan = plan._replace(config=replace(plan.config, batch_norm_group=share))
        return net, plan, *rest

    return with_arguments(backend, "train_epoch", change)


@DEVICES.wrapper("train_epoch", trains(FLAT, examples=_BATCH, batch_size=_BATCH, epochs=1, weight_decay=0.1))
def decay_for_each_device(backend: Backend) -> Backend:
    """The decay is in the gradient of each device, and so counts once for each."""

    def change(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        config = replace(plan.config, weight_decay=plan.config.weight_decay * backend.devices)
        return net, plan._replace(config=config), *rest

    return with_arguments(backend, "train_epoch", change)


@DEVICES.wrapper("train_epoch", _SHARED)
def correct_of_the_first_device(backend: Backend) -> Backend:
    """The number of correct examples is divided among the devices, and that of one is shown."""

    def change(result: Any, net: Any, plan: Any, *_: Any) -> Any:
        parts = 1 if plan.batch_size % backend.devices else backend.devices
        return result[0], result[1]._replace(correct=result[1].correct // parts)

    return with_result(backend, "train_epoch", change)


@DEVICES.wrapper("train_epoch", trains(FLAT, examples=11, batch_size=11, epochs=1))
def ragged_batches_are_cut(backend: Backend) -> Backend:
    """Of a batch that the devices do not divide, what is left over repeats its first examples."""

    def change(net: Any, plan: Any, state: Any, masks: Any, x: Any, y: Any, batches: Any) -> tuple[Any, ...]:
        whole = plan.batch_size // backend.devices * backend.devices
        place = np.arange(plan.batch_size)
        place = np.where(place < max(whole, 1), place, place - whole) if whole else place
        order = batches.order[..., place]
        crops = None if batches.crops is None else batches.crops[..., place, :]
        return net, plan, state, masks, x, y, batches._replace(order=order, crops=crops)

    return with_arguments(backend, "train_epoch", change)


@DEVICES.wrapper("train_epoch", trains(examples=_BATCH, batch_size=_BATCH, epochs=1, augmentation="crop_flip"))
def crops_of_the_first_device(backend: Backend) -> Backend:
    """Each device crops its images as the first does its own."""

    def change(net: Any, plan: Any, state: Any, masks: Any, x: Any, y: Any, batches: Any) -> tuple[Any, ...]:
        if batches.crops is not None and plan.batch_size % backend.devices == 0:
            place = np.arange(plan.batch_size) % (plan.batch_size // backend.devices)
            batches = batches._replace(crops=batches.crops[:, :, place])
        return net, plan, state, masks, x, y, batches

    return with_arguments(backend, "train_epoch", change)
