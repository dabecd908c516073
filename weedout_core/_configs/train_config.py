"""The configuration of the learning phase: frozen, checked when it is made, and stored with every result."""

import math
from dataclasses import dataclass
from typing import Literal

from weedout_core._configs.checks import check_effects
from weedout_core._configs.open_points import Precision, choice
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import AboveZero, AtLeastZero, Fraction, NonNegative, Positive, Share
from weedout_core.errors import ConfigError


@dataclass(frozen=True)
class TrainConfig:
    """The learning phase: SGD on the training split (paper, Algorithm 1, line 12).

    The paper gives one number, a batch of 1,024 over eight cores; all other defaults are this library's.

    Attributes:
        epochs: passes over the training split, ≥ 0.
        batch_size: examples in each step, ≥ 1, on all devices together; the whole split if it has fewer. Each epoch
            shuffles the split and cuts it into full batches; examples that fill no batch are left out of that epoch.
        learning_rate: the highest learning rate of the schedule, > 0.
        momentum: the momentum of SGD, in [0, 1).
        nesterov: whether the momentum is Nesterov's.
        weight_decay: added to the gradient as ``weight_decay × weight``, ≥ 0.
        decayed: what weight decay applies to: "weights", the kernels of dense and convolutional layers, or "all"
            parameters.
        schedule: the learning rate over time: "cosine" falls to 0 over all steps, "step" is multiplied by
            ``step_factor`` after each of ``step_epochs``, "constant" stays the same.
        step_epochs: with schedule "step", the numbers of epochs after which the rate is multiplied by ``step_factor``.
        step_factor: with schedule "step", the factor of the rate, > 0.
        warmup_epochs: how many epochs at the start, ≥ 0, in which the rate grows linearly from 0 to the schedule's.
        augmentation: "crop_flip" pads each image with 4 zeros on each side, crops it to its size at a random place, and
            mirrors it left to right with probability 1/2; "none" changes nothing.
        batch_norm_group: how many examples batch normalisation takes its statistics over, ≥ 1, whatever the number of
            devices: with batch normalisation a larger batch must be a multiple of it. None is the whole batch.
        compaction: whether to train the smaller network that an exact mask leaves, rather than the parent under its
            mask. Both compute the same.
        compute: the dtype in which dense and convolutional layers multiply: "float32", or "bfloat16" where the device
            has it. Weights, statistics, logits and the loss stay float32.
        search_epochs: after every how many epochs the mask is searched again, for the weights as they are by then, ≥ 0;
            0 trains the mask that was found before (docs/search-family.md).
        search_part: in which part of the epochs it is, in (0, 1]; after it the mask stays, and the weights settle.
        mask_in_testing: a point with one allowed value, row 16 of docs/choices.md.
        precision: the precision of matrix products while training: "highest" is float32, "default" is what the device
            does at full speed.
    Raises:
        ConfigError: a field is out of its range, or has no effect beside the others.
    """

    epochs: NonNegative = choice(20, "epochs", 20)
    batch_size: Positive = choice(20, "batch size", 128)
    learning_rate: AboveZero = choice(20, "learning rate", 0.05)
    momentum: Fraction = choice(20, "momentum", 0.9)
    nesterov: bool = choice(20, "momentum", True)
    weight_decay: AtLeastZero = choice(20, "decay", 5e-4)
    decayed: Literal["weights", "all"] = choice(26, "what weight decay touches", "weights")
    schedule: Literal["cosine", "step", "constant"] = choice(20, "schedule", "cosine")
    step_epochs: tuple[Positive, ...] = choice(20, "schedule", ())
    step_factor: AboveZero = choice(20, "schedule", 0.2)
    warmup_epochs: NonNegative = choice(20, "schedule", 0)
    augmentation: Literal["none", "crop_flip"] = choice(20, "augmentation", "none")
    batch_norm_group: Positive | None = choice(12, "BatchNorm over devices", 128)
    compaction: bool = choice(23, "removed weights during SGD", True)
    compute: Literal["float32", "bfloat16"] = "float32"
    search_epochs: NonNegative = choice(28, "Weedout throughout training", 0)
    search_part: Share = choice(28, "Weedout throughout training", 1.0)
    mask_in_testing: Literal["same"] = choice(16, "mask in training and testing", "same")
    precision: Precision = "default"

    def __post_init__(self) -> None:
        convert_fields(self)
        if (self.schedule == "step") != bool(self.step_epochs):
            raise ConfigError(
                'schedule="step" and step_epochs, the epochs at which the rate falls, need each other; got '
                f"schedule={self.schedule!r} and step_epochs={self.step_epochs!r}."
            )
        check_effects(
            self,
            {
                "step_epochs": (max(self.step_epochs, default=0) < self.epochs, f"more than {self.epochs} epochs"),
                "step_factor": (self.schedule == "step", 'schedule="step"'),
                "warmup_epochs": (self.warmup_epochs <= self.epochs, f"at least {self.warmup_epochs} epochs"),
                "decayed": (self.weight_decay > 0, "weight_decay above 0"),
                "search_epochs": (self.generations > 0, f"more than {self.search_epochs} epochs in its part"),
                "search_part": (self.search_epochs > 0, "search_epochs of at least 1"),
            },
        )

    @property
    def generations(self) -> int:
        """How many generations are scored while a network trains: one after every ``search_epochs`` in their part."""
        if not self.search_epochs:
            return 0
        return math.ceil(round(self.search_part * self.epochs, 9) / self.search_epochs) - 1

    def generations_within(self, epochs: int) -> int:
        """How many of them are scored before the last of so many epochs is trained."""
        return min(max(epochs - 1, 0) // self.search_epochs, self.generations) if self.search_epochs else 0
