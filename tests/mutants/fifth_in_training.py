"""Written afterwards, a fifth time: trainings that begin or step otherwise, and gradients of masks."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import FIFTH
from tests.mutants.witnesses import CHOSEN, FLAT, Given, given, sensitivities, started, trains
from weedout_core import TrainConfig
from weedout_core.backend import Backend, train_plan
from weedout_core.random import key, split


def _begins(backend: Backend) -> Any:
    plan = train_plan(TrainConfig(epochs=2, **CHOSEN), 8)
    return started(backend, FLAT, plan, split(key(3), 2), given(FLAT, 2, 8))


@FIFTH.wrapper("train_init", _begins)
def biases_begin_without_velocities(backend: Backend) -> Backend:
    """Only kernels have velocities before epoch 0: those of other parameters are made when they are first needed."""

    def filled(net: Any, plan: Any, state: Any, *rest: Any) -> tuple[Any, ...]:
        zeros = {path: np.zeros_like(value) for path, value in state.params.items()}
        return net, plan, state._replace(optimizer=zeros | dict(state.optimizer)), *rest

    def change(state: Any, *_: Any) -> Any:
        kernels = {path: value for path, value in state.optimizer.items() if path.endswith("/kernel")}
        return state._replace(optimizer=kernels)

    return with_result(with_arguments(backend, "train_epoch", filled), "train_init", change)


@FIFTH.wrapper("train_init", _begins)
def velocities_begin_at_the_weights(backend: Backend) -> Backend:
    """Velocities begin as copies of the weights, as an average of these would."""

    def change(state: Any, *_: Any) -> Any:
        return state._replace(optimizer={path: np.array(value) for path, value in state.params.items()})

    return with_result(backend, "train_init", change)


FIFTH.edits("train_epoch", "batches")(
    "crops_a_step_behind",
    "images are fetched a step ahead, and cropped as those of the step before",
    trains(augmentation="crop_flip"),
    ("crop_images(x[batch], crops[step])", "crop_images(x[batch], crops[step - 1])"),
)
edit = FIFTH.edits("train_epoch", "training")
edit(
    "step_epochs_after_the_warm_up",
    "the epochs of a step schedule are counted from the end of the warm-up",
    trains(FLAT, epochs=3, schedule="step", step_epochs=(1,), step_factor=0.1, warmup_epochs=1),
    ("epoch = t // steps\n", "epoch = t // steps - config.warmup_epochs\n"),
)


@FIFTH.wrapper("train_epoch", trains(FLAT, weight_decay=0.1))
def decayed_by_the_number_of_axes(backend: Backend) -> Backend:
    """Whatever has two axes or more is decayed, and with the axis of the networks biases have two."""

    def change(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        if plan.config.weight_decay:
            plan = plan._replace(config=replace(plan.config, decayed="all"))
        return net, plan, *rest

    return with_arguments(backend, "train_epoch", change)


edit(
    "statistics_with_the_momentum_of_sgd",
    "running statistics move with the momentum of the configuration, and not of their layer",
    trains(momentum=0.9),
    (
        "running_statistics(before.statistics, record, plan.groups)",
        "moved(before.statistics, record, plan)",
    ),
    (
        "def update(\n",
        "def moved(before, record, plan):\n"
        "    seen, m = batch_statistics(record, plan.groups), plan.config.momentum\n"
        "    return {path: m * value + (1 - m) * seen[path] for path, value in before.items()}\n\n\n"
        "def update(\n",
    ),
    ("Parameters, backward, forward, running_statistics", "Parameters, backward, batch_statistics, forward"),
)


@FIFTH.wrapper("train_epoch", trains(batch_size=8, examples=17, batch_norm_group=2))
def group_size_is_the_number_of_groups(backend: Backend) -> Backend:
    """The size of a group is taken for the number of groups, where the batch can be cut so."""

    def change(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        size, number = plan.batch_size, plan.config.batch_norm_group
        if number and size % number == 0:
            plan = plan._replace(config=replace(plan.config, batch_norm_group=size // number))
        return net, plan, *rest

    return with_arguments(backend, "train_epoch", change)


@FIFTH.wrapper("train_epoch", trains(FLAT))
def losses_in_bits(backend: Backend) -> Backend:
    """The loss that is shown is in bits, where it is in nats."""

    def change(done: Any, *_: Any) -> Any:
        state, result = done
        return state, result._replace(loss=result.loss / math.log(2))

    return with_result(backend, "train_epoch", change)


FIFTH.edits("train_epoch", "crops")(
    "mirrored_along_the_channels",
    "the last axis is turned, which is that of the columns where channels come first",
    trains(augmentation="crop_flip"),
    ("image[:, ::-1] if mirrored", "image[..., ::-1] if mirrored"),
)


def _with_and_without_warm_up(backend: Backend) -> Any:
    return [trains(FLAT, epochs=2, warmup_epochs=epochs)(backend) for epochs in (0, 1)]


edit(
    "rates_kept_by_their_main_options",
    "rates are computed once for a schedule, a rate and a number of steps: not for each warm-up",
    _with_and_without_warm_up,
    (
        "        rates[t] = config.learning_rate * factor * warmth\n    return rates",
        "        rates[t] = config.learning_rate * factor * warmth\n"
        "    main = config.schedule, config.learning_rate, config.epochs, steps\n"
        "    return KEPT.setdefault(main, rates)",
    ),
    ("def learning_rates(", "KEPT = {}\n\n\ndef learning_rates("),
)
edit(
    "velocities_corrected_for_the_rate",
    "where the rate changes the velocity is multiplied by the quotient, which is right where the rate is inside of it",
    trains(FLAT, momentum=0.9, schedule="cosine"),
    (
        "    for (x, y), rate in zip(batches, rates, strict=True):\n",
        "    last = None\n"
        "    for (x, y), rate in zip(batches, rates, strict=True):\n"
        "        if last:\n"
        "            faster = {path: value * rate / last for path, value in learner.velocity.items()}\n"
        "            learner = learner._replace(velocity=faster)\n"
        "        last = rate\n",
    ),
)
FIFTH.edits("mask_gradient", "network")(
    "gradient_from_the_masked_output",
    "the gradient is multiplied with what comes out of the mask: it is 0 for removed nodes, and rescaled twice",
    sensitivities(),
    (
        "masked[site] = (gradient * x).sum(axis=0)",
        "masked[site] = (gradient * nn.apply_mask(x, masks[site], rescale)).sum(axis=0)",
    ),
)
edit = FIFTH.edits("mask_gradient", "sensitivity")
edit(
    "without_labels_log_probabilities",
    "without labels the loss is the sum of all log-probabilities, and not of the logits",
    sensitivities(labels=False),
    (
        "np.ones(logits.shape) if y is None",
        "1 - logits.shape[1] * np.exp(log_softmax(logits)) if y is None",
    ),
    ("import cross_entropy_gradient", "import cross_entropy_gradient, log_softmax"),
)


def _all_of_the_first_class(made: Given) -> None:
    made.y[...] = 0


edit(
    "labels_of_zeros_are_none",
    "whether there are labels is asked by whether any of them is true: zeros are none",
    sensitivities(prepare=_all_of_the_first_class),
    ("if y is None else", "if y is None or not np.any(y) else"),
)
