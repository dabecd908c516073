"""The search phase: its configuration. Frozen, checked when made, stored with every result."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from weedout_core._configs.checks import check_effects, check_options
from weedout_core._configs.open_points import AS_READ, Precision, choice
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import Positive, integer, option
from weedout_core._masks.plan import Sampling
from weedout_core._networks.initial import Fan
from weedout_core.errors import ConfigError

Reading = Literal["algorithm1", "section3"]
Fitness = Literal["negative_cross_entropy", "accuracy"]
FitnessName = Annotated[str, option(*get_args(Fitness))]
Strategy = Literal["random_search"]
Control = Literal["member", "independent"]

#: What each reading of the paper says, where its Algorithm 1 and its section 3 differ.
READINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "algorithm1": MappingProxyType(
            {"fitness": "negative_cross_entropy", "winner": "last_generation", "weights": "shared"}
        ),
        "section3": MappingProxyType({"fitness": "accuracy", "winner": "best_overall", "weights": "per_candidate"}),
    }
)


class _AsRead(str):
    """What a reading set, and nobody wrote: ``dataclasses.replace`` hands it on, beside another reading as well."""

    __slots__ = ()


_POPULATION = integer(2, note=" (one elite and one fresh candidate)", remedy="Raise SearchConfig.population.")


@dataclass(frozen=True)
class SearchConfig:
    """The search phase (paper, Algorithm 1, lines 1–11).

    Attributes:
        population: m ≥ 2 candidates a generation: one elite and at least one fresh.
        generations: at most this many, ≥ 1; None leaves it to patience or budget.
        patience: stop after this many generations without a better best fitness, ≥ 1; None never stops so.
        budget: start no generation that takes the evaluations above this, ≥ population; None sets no budget.
        reading: "algorithm1" or "section3": sets fitness, winner and weights where they are not given. They are
            set when the configuration is made: for another reading make a new one. ``dataclasses.replace`` would
            keep them, and is refused.
        strategy: the random search heuristic.
        fitness: "negative_cross_entropy" or "accuracy".
        validation_batch: examples a generation, ≥ 1; all of the validation split when it has fewer.
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
        winner_keeps, ties, not_finite: fixed points, rows 10 and 18 of docs/choices.md.
        precision: of matrix products while scoring. "default" lets TPUs and GPUs round them; winners may differ.
        chunk: candidates whose masks exist at once, ≥ 1; None decides from the space. It changes no draw.
    Raises:
        ConfigError: a field is out of its range, or two fields contradict each other.
    """

    population: Annotated[int, _POPULATION] = 100
    generations: Positive | None = choice(5, "termination", 5)
    patience: Positive | None = choice(5, "termination", None)
    budget: Positive | None = choice(5, "termination", None)
    reading: Reading = "algorithm1"
    strategy: Annotated[str, option(*get_args(Strategy))] = "random_search"
    fitness: str = choice(1, "fitness", AS_READ, get_args(Fitness))
    validation_batch: Positive = choice(2, "validation batch", 1024)
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
    chunk: Positive | None = None

    def __post_init__(self) -> None:
        before = {name: getattr(self, name) for name in READINGS["algorithm1"]}
        convert_fields(self)
        self._read(before)
        check_options(self)
        if self.budget is not None and self.budget < self.population:
            raise ConfigError(f"budget must be at least the population, {self.population}; got {self.budget}.")
        if self.generations is None and self.patience is None and self.budget is None:
            raise ConfigError("a search needs an end: set SearchConfig.generations, patience or budget.")
        if self.elite == "cache" and self.batch_policy == "fresh":
            raise ConfigError(
                'elite="cache" needs a batch that stays the same; got batch_policy="fresh". Use "fixed" or "whole".'
            )
        drawn = self.batch_policy != "whole" or self.batch_norm == "recalibrated"
        check_effects(self, {"validation_batch": (drawn, 'batch_policy="fresh" or "fixed"')})

    def _read(self, given: Mapping[str, str]) -> None:
        """Take what the reading says for what was not given. Raise ConfigError where another reading gave it."""
        for name, read in READINGS[self.reading].items():
            if isinstance(given[name], _AsRead) and given[name] != read:
                raise ConfigError(
                    f"reading={self.reading!r} is for {name}={read!r}; got {name}={given[name]!r}, which another "
                    f"reading had set. Make a new SearchConfig for another reading, and write {name} out to keep it."
                )
            if given[name] == AS_READ or isinstance(given[name], _AsRead):
                object.__setattr__(self, name, _AsRead(read))
