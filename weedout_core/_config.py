"""Configurations: frozen, checked when made, stored with every result.

Where the paper leaves a choice, the field carries the row of the project's list of choices and the point it
settles; :func:`choices` prints them. Fields with one allowed value are points the paper leaves open on which
this library takes one side: they are here so that every result says so.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast, get_args, get_origin, get_type_hints

from weedout_core._errors import ConfigError
from weedout_core._fitness import FITNESS
from weedout_core._initial import Fan
from weedout_core._masks import Sampling, Sparsity, checked_sparsity
from weedout_core._selection import STRATEGIES

Reading = Literal["algorithm1", "section3"]
Precision = Literal["highest", "default"]

#: The value of a field that the reading decides.
AS_READ = ""

#: What each reading of the paper says, where its Algorithm 1 and its section 3 differ.
READINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "algorithm1": MappingProxyType(
            {"fitness": "negative_cross_entropy", "winner": "last_generation", "weights": "shared"}
        ),
        "section3": MappingProxyType({"fitness": "accuracy", "winner": "best_overall", "weights": "per_candidate"}),
    }
)


def choice(row: int, point: str, default: Any, options: tuple[str, ...] = ()) -> Any:
    """A field of a configuration that settles a point the paper leaves open.

    Args:
        row, point: of the project's list of choices.
        default: the field's default; ``AS_READ`` where the reading decides.
        options: the names allowed, where the annotation does not say so.
    """
    return field(default=default, metadata={"row": row, "point": point, "options": options})


@dataclass(frozen=True)
class SearchConfig:
    """The search phase (paper, Algorithm 1, lines 1–11).

    Attributes:
        sparsity: η, the fraction of nodes removed, in [0, 1), for all sites or {site: η}.
        population: m ≥ 2 candidates a generation: one elite and at least one fresh.
        generations: at most this many, ≥ 1; None leaves it to patience or budget.
        patience: stop after this many generations without a better best fitness, ≥ 1; None never stops so.
        budget: start no generation that takes the evaluations above this, ≥ population; None sets no budget.
        reading: "algorithm1" or "section3": sets fitness, winner and weights where they are not given. They are
            set when the configuration is made: for another reading make a new one, since
            ``dataclasses.replace`` would keep them.
        strategy: the random search heuristic.
        fitness: "negative_cross_entropy" or "accuracy".
        batch: validation examples a generation, ≥ 1; all of the split when it has fewer.
        batch_policy: draw a fresh batch each generation, keep a fixed one, or take the whole split.
        elite: score it again on each batch, or remember its fitness (where the batch stays the same).
        winner: the elite of the last generation, the best stored fitness, or the best of all generations'
            elites scored again on one more batch.
        sampling: remove an exact count at each site, or decide each node alone.
        weights: candidates share the parent's initial weights, or each draws its own.
        fan: the fan of He-normal weights.
        fan_counts: count the parent's nodes in the fan, or the kept ones.
        batch_norm: while scoring, batch normalisation takes the statistics of the batch, the running ones as they are
            before training (mean 0, variance 1), or a candidate's own on another batch of the same split.
        winner_keeps, ties, not_finite: fixed points, see the module's text.
        precision: of matrix products while scoring. "default" lets TPUs and GPUs round them; winners may differ.
        chunk: candidates whose masks exist at once, ≥ 1; None decides from the space. It changes no draw.
    Raises:
        ConfigError: a field is out of its range, or two fields contradict each other.
    """

    sparsity: Sparsity
    population: int = 100
    generations: int | None = choice(5, "termination", 5)
    patience: int | None = choice(5, "termination", None)
    budget: int | None = choice(5, "termination", None)
    reading: Reading = "algorithm1"
    strategy: str = "random_search"
    fitness: str = choice(1, "fitness", AS_READ, tuple(FITNESS))
    batch: int = choice(2, "validation batch", 1024)
    batch_policy: Literal["fresh", "fixed", "whole"] = choice(2, "validation batch", "fresh")
    elite: Literal["rescore", "cache"] = choice(3, "is the elite scored again", "rescore")
    winner: str = choice(4, "final argmax", AS_READ, ("last_generation", "best_overall", "rescored"))
    sampling: Sampling = choice(7, "exact or random count", "exact")
    weights: str = choice(8, "initial weights", AS_READ, ("shared", "per_candidate"))
    fan: Fan = choice(9, "He normal", "fan_in")
    winner_keeps: Literal["mask_and_weights"] = choice(10, "what the winner keeps", "mask_and_weights")
    ties: Literal["lowest_index"] = choice(18, "ties", "lowest_index")
    not_finite: Literal["never_selected"] = choice(18, "NaN and infinite fitness", "never_selected")
    fan_counts: Literal["parent", "kept"] = choice(25, "He fan-in under a mask", "parent")
    batch_norm: Literal["batch", "running", "recalibrated"] = choice(11, "BatchNorm while searching", "batch")
    precision: Precision = "highest"
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_option("reading", self.reading, READINGS)
        for name, value in READINGS[self.reading].items():
            if getattr(self, name) == AS_READ:
                object.__setattr__(self, name, value)
        check_options(self)
        check_option("strategy", self.strategy, STRATEGIES)
        for sparsity in self.sparsity.values() if isinstance(self.sparsity, Mapping) else (self.sparsity,):
            checked_sparsity(sparsity)
        if not is_integer(self.population) or self.population < 2:
            raise ConfigError(
                f"population must be at least 2 (one elite and one fresh candidate); got {self.population!r}. "
                "Raise SearchConfig.population."
            )
        for name in ("generations", "patience", "chunk"):
            check_at_least(name, getattr(self, name), 1, optional=True)
        check_at_least("batch", self.batch, 1)
        check_at_least("budget", self.budget, self.population, optional=True)
        if self.generations is None and self.patience is None and self.budget is None:
            raise ConfigError("a search needs an end: set SearchConfig.generations, patience or budget.")
        if self.elite == "cache" and self.batch_policy == "fresh":
            raise ConfigError(
                'elite="cache" needs a batch that stays the same; got batch_policy="fresh". Use "fixed" or "whole".'
            )


@dataclass(frozen=True)
class TrainConfig:
    """The learning phase: SGD on the training split (paper, Algorithm 1, line 12).

    The paper gives no numbers; these are ours.

    Attributes:
        epochs: ≥ 0.
        batch_size: examples a step, ≥ 1, on all devices together; all of the split when it has fewer. Each epoch is
            a fresh permutation cut into full batches; what is left over waits for another epoch.
        learning_rate: the highest, > 0.
        momentum: in [0, 1).
        nesterov: whether the momentum looks ahead.
        weight_decay: added to the gradient as ``weight_decay × weight``, ≥ 0.
        decayed: what it touches: the weights of dense layers, or all parameters.
        schedule: "cosine" to 0 over all steps, "step", or "constant".
        step_epochs: for "step" alone: the epochs at whose start the rate is multiplied by ``step_factor``.
        step_factor: > 0.
        warmup_epochs: over these the rate grows linearly from 0 to the schedule's, ≥ 0.
        augmentation: "crop_flip": each image padded by 4 zeros, cut to its size at a random place, and mirrored left
            to right with probability 1/2; "none".
        batch_norm_group: examples over which batch normalisation takes its statistics, whatever the number of
            devices, ≥ 1: with batch normalisation a larger batch must be a multiple of it. None is the whole batch.
        compaction: train the smaller network that a mask leaves (exact masks), rather than the parent under its mask.
        compute: what weight layers multiply in: "bfloat16" where the device has it. Weights, statistics, logits and
            the loss stay float32.
        mask_in_testing: a fixed point, see the module's text.
        precision: of matrix products while training. "default" is what the device does at full speed.
    Raises:
        ConfigError: a field is out of its range.
    """

    epochs: int = choice(20, "epochs", 20)
    batch_size: int = choice(20, "batch size", 128)
    learning_rate: float = choice(20, "learning rate", 0.05)
    momentum: float = choice(20, "momentum", 0.9)
    nesterov: bool = choice(20, "momentum", True)
    weight_decay: float = choice(20, "decay", 5e-4)
    decayed: Literal["weights", "all"] = choice(26, "what weight decay touches", "weights")
    schedule: Literal["cosine", "step", "constant"] = choice(20, "schedule", "cosine")
    step_epochs: tuple[int, ...] = choice(20, "schedule", ())
    step_factor: float = choice(20, "schedule", 0.2)
    warmup_epochs: int = choice(20, "schedule", 0)
    augmentation: Literal["none", "crop_flip"] = choice(20, "augmentation", "none")
    batch_norm_group: int | None = choice(12, "BatchNorm over devices", 128)
    compaction: bool = choice(23, "removed weights during SGD", True)
    compute: Literal["float32", "bfloat16"] = "float32"
    mask_in_testing: Literal["same"] = choice(16, "mask in training and testing", "same")
    precision: Precision = "default"

    def __post_init__(self) -> None:
        check_options(self)
        object.__setattr__(self, "step_epochs", tuple(self.step_epochs))  # a list could not be hashed
        check_at_least("epochs", self.epochs, 0)
        check_at_least("batch_size", self.batch_size, 1)
        check_at_least("warmup_epochs", self.warmup_epochs, 0)
        check_at_least("batch_norm_group", self.batch_norm_group, 1, optional=True)
        check_real("learning_rate", self.learning_rate, lambda rate: rate > 0, "above 0")
        check_real("momentum", self.momentum, lambda momentum: 0 <= momentum < 1, "in [0, 1)")
        check_real("weight_decay", self.weight_decay, lambda decay: decay >= 0, "at least 0")
        check_real("step_factor", self.step_factor, lambda factor: factor > 0, "above 0")
        if any(not is_integer(epoch) or epoch < 1 for epoch in self.step_epochs):
            raise ConfigError(f"step_epochs must be epochs from 1 on; got {self.step_epochs!r}.")
        if (self.schedule == "step") != bool(self.step_epochs):
            raise ConfigError(
                'schedule="step" and step_epochs, the epochs at which the rate falls, need each other; got '
                f"schedule={self.schedule!r} and step_epochs={self.step_epochs!r}."
            )


class Choice(NamedTuple):
    """One point the paper leaves open, and the side a configuration takes."""

    row: int
    point: str
    field: str
    value: Any


def choices(*configs: Any) -> list[Choice]:
    """The choices that configurations make where the paper leaves one, by row."""
    found: list[Choice] = []
    for config in configs:
        for item in fields(config):
            if "row" in item.metadata:
                row, point = item.metadata["row"], item.metadata["point"]
                found.append(Choice(row, point, f"{type(config).__name__}.{item.name}", getattr(config, item.name)))
    return sorted(found, key=lambda choice: (choice.row, choice.field))


def check_option(name: str, value: Any, options: Any) -> None:
    """Raise ConfigError if a value is not one of the named options."""
    if value not in tuple(options):
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}.")


def check_options(config: Any) -> None:
    """Raise ConfigError if a field with named options has another value."""
    for name, options in named_options(cast(type[Any], type(config))).items():
        check_option(name, getattr(config, name), options)


def named_options(kind: type[Any]) -> dict[str, tuple[Any, ...]]:
    """The fields of a configuration that take one of a few names: {field: options}."""
    hints = get_type_hints(kind)
    literal = {
        item.name: get_args(hints[item.name]) for item in fields(kind) if get_origin(hints[item.name]) is Literal
    }
    return literal | {item.name: item.metadata["options"] for item in fields(kind) if item.metadata.get("options")}


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_at_least(name: str, value: Any, least: int, optional: bool = False) -> None:
    """Raise ConfigError if a value is not an integer ≥ least (or None, where optional)."""
    if optional and value is None:
        return
    if not is_integer(value) or value < least:
        raise ConfigError(f"{name} must be an integer of at least {least}; got {value!r}.")


def check_real(name: str, value: Any, holds: Callable[[float], bool], wanted: str) -> None:
    """Raise ConfigError if a value is not a finite number for which the condition holds."""
    if not isinstance(value, int | float) or not math.isfinite(value) or not holds(value):
        raise ConfigError(f"{name} must be a finite number {wanted}; got {value!r}.")
