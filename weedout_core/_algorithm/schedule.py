"""What is decided about training before it begins: the batches of each epoch, the learning rate of each step.

Integers and rates are computed here, on the host, so that every backend trains on the same.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

from weedout_core._configs.checks import check_effects
from weedout_core._configs.train_config import TrainConfig
from weedout_core._guard.by_content import by_content
from weedout_core._guard.composed import several
from weedout_core._guard.guarded import guarded
from weedout_core._guard.hosted import frozen
from weedout_core._guard.kinds import Hosted, NonNegative, Positive
from weedout_core._networks.network import Network, adopted, check_normalised, initial_statistics, parameter_shapes
from weedout_core._random.annotations import KEY, Key
from weedout_core._random.keys import of_augmentation, of_data_order, of_noise
from weedout_core._random.stream import bits, permutation
from weedout_core.errors import ConfigError


class TrainPlan(NamedTuple):
    """What is fixed while training. Hashable.

    Attributes:
        config: the configuration.
        examples: the number of examples in the training split.
        batch_size: examples in each step, at most ``examples``.
        optimizer: the backend's own optimizer in place of SGD (JAX: an optax ``GradientTransformation``), or None.
    """

    config: TrainConfig
    examples: Positive
    batch_size: Positive
    optimizer: Any

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return self.examples // self.batch_size

    @property
    def groups(self) -> int:
        """How many groups of consecutive examples a batch has. Batch normalisation takes statistics over each."""
        return max(1, self.batch_size // (self.config.batch_norm_group or self.batch_size))


@guarded
def train_plan(config: TrainConfig, examples: Positive, optimizer: Any = None) -> TrainPlan:
    """The plan for a split of ``examples`` examples. A batch that is larger than the split becomes the whole split.

    Raises:
        ConfigError: an optimizer is given, and a field of the built-in SGD is set, which has no effect then.
    """
    if optimizer is not None:
        check_effects(config, dict.fromkeys(_OF_SGD, (False, "the built-in SGD, optimizer=None")))
    return TrainPlan(config, examples, min(config.batch_size, examples), optimizer)


@guarded
def check_plan(net: Network, plan: TrainPlan) -> None:
    """Raise ConfigError where a network cannot be trained by a plan.

    A batch may not have more examples than there are. Augmentation needs images. Batch normalisation needs batches of
    whole groups, and more than one value in a group, because the variance of a single value is 0.
    """
    if plan.batch_size > plan.examples:
        raise ConfigError(f"batch_size must be at most the {plan.examples} examples; got {plan.batch_size}.")
    if plan.config.augmentation != "none" and len(net.input_shape) != 3:
        raise ConfigError(
            f"augmentation needs images (height, width, channels); the network's inputs have shape {net.input_shape}."
        )
    if (model := adopted(net)) is not None:
        its_own = (False, f"the library's own layers; {model.name} computes as its own library does")
        return check_effects(plan.config, dict.fromkeys(("augmentation", "batch_norm_group", "compute"), its_own))
    group = min(plan.config.batch_norm_group or plan.batch_size, plan.batch_size)
    if initial_statistics(net) and plan.batch_size % group:
        raise ConfigError(
            f"a batch must be whole groups of batch_norm_group, {group}, for batch normalisation; a step has "
            f"{plan.batch_size} of {plan.examples} examples. Change batch_size or batch_norm_group."
        )
    check_normalised(net, group)


_OF_SGD = (
    "learning_rate", "momentum", "nesterov", "weight_decay", "decayed", "schedule", "step_epochs", "step_factor",
    "warmup_epochs",
)  # fmt: skip


@by_content
class Batches(NamedTuple):
    """The batches of one epoch for R networks, drawn by the core, in NumPy.

    Attributes:
        order: the indices of the examples of each step, int32 ``(R, steps, batch_size)``.
        crops: the augmentation of each example, int32 ``(R, steps, batch_size, 3)``, or None without augmentation. The
            image is padded by ``CROP_MARGIN`` zeros on each side. The first two numbers are the first row and column of
            the crop, in [0, 2·CROP_MARGIN]; the third is 1 if the crop is then mirrored left to right, else 0.
    """

    order: Hosted
    crops: Hosted | None


#: Zeros around an image before it is cropped.
CROP_MARGIN = 4


@guarded
def learning_rates(config: TrainConfig, steps: NonNegative) -> np.ndarray:
    """The learning rate of every step of training, float64 ``(epochs × steps,)``.

    Args:
        config: its schedule, "cosine": ``rate · (1 + cos(π t / T)) / 2`` at step t of T; "step"; "constant". In the
            first W steps, those of ``warmup_epochs``, it is multiplied by ``(t + 1) / W``.
        steps: the number of steps in an epoch.
    """
    total = config.epochs * steps
    step = np.arange(total)
    match config.schedule:
        case "cosine":
            factor = (1 + np.cos(np.pi * step / max(total, 1))) / 2
        case "step":
            drops = np.sum(step[:, None] // max(steps, 1) >= np.asarray(config.step_epochs, dtype=int), axis=1)
            factor = config.step_factor**drops
        case "constant":
            factor = np.ones(total)
    warming = max(config.warmup_epochs * steps, 1)
    return config.learning_rate * factor * np.minimum((step + 1) / warming, 1)


@guarded
def decayed_paths(net: Network, config: TrainConfig) -> dict[str, bool]:
    """Whether weight decay applies to each parameter, {path: bool}: to the kernels, or to all parameters.

    Kernels of an adopted model are its parameters with more than one axis. One that is frozen does not decay.
    """
    everything, layer = config.decayed == "all", adopted(net)
    if layer is not None:
        return {one.path: not one.frozen and (everything or len(one.shape) > 1) for one in layer.params}
    return {path: everything or path.endswith("/kernel") for path in parameter_shapes(net)}


def epoch_order(key: Key, epoch: int, plan: TrainPlan) -> np.ndarray:
    """The examples of each step of an epoch: a fresh permutation, cut into full batches.

    Returns:
        int32 ``(steps, batch_size)``.
    """
    shuffled = permutation(of_data_order(key, epoch), plan.examples)
    return shuffled[: plan.steps * plan.batch_size].reshape(plan.steps, plan.batch_size)


def epoch_crops(key: Key, epoch: int, plan: TrainPlan) -> np.ndarray | None:
    """Where each image of an epoch is cropped, and whether it is mirrored; None without augmentation.

    Integer j of the example at place i of the epoch is the high word of ``bits[3·i + j] × count``.

    Returns:
        int32 ``(steps, batch_size, 3)``, see :class:`Batches`.
    """
    if plan.config.augmentation == "none":
        return None
    words = bits(of_augmentation(key, epoch), 3 * plan.steps * plan.batch_size)
    counts = np.array([2 * CROP_MARGIN + 1, 2 * CROP_MARGIN + 1, 2], dtype=np.uint64)
    drawn = words.reshape(plan.steps, plan.batch_size, 3).astype(np.uint64) * counts >> np.uint64(32)
    return drawn.astype(np.int32)


@guarded
def epoch_batches(
    keys: Annotated[Sequence[Key], several(KEY, least=1)], epoch: NonNegative, plan: TrainPlan
) -> Batches:
    """The batches of an epoch for R networks, each drawn from its own key, uint32 ``(2,)``."""
    order = frozen(np.stack([epoch_order(key, epoch, plan) for key in keys]))
    crops = [crop for key in keys if (crop := epoch_crops(key, epoch, plan)) is not None]
    return Batches(order, frozen(np.stack(crops)) if crops else None)


@guarded
def noise_words(
    keys: Annotated[Sequence[Key], several(KEY, least=1)], epoch: NonNegative, plan: TrainPlan
) -> np.ndarray:
    """What an adopted model's dropout draws from: a word for each step of an epoch, for R networks, each from its key.

    Returns:
        uint32 ``(R, steps)``.
    """
    return frozen(np.stack([bits(of_noise(key, epoch), plan.steps) for key in keys]))
