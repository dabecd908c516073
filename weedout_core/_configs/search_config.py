"""The configuration of the search phase: frozen, checked when it is made, and stored with every result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

from weedout_core._configs.checks import check_effects, check_options
from weedout_core._configs.open_points import AS_READ, Precision, choice
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import NonNegative, Positive, Share, integer
from weedout_core._guard.own_functions import named_or_own
from weedout_core._masks.allocation import Allocation
from weedout_core._masks.plan import Sampling, check_sampling
from weedout_core._networks.initial import Fan
from weedout_core.errors import ConfigError

Reading = Literal["algorithm1", "section3"]
FitnessName = Literal["negative_cross_entropy", "accuracy"]
StrategyName = Literal["random_search", "binary_tournament", "one_plus_lambda", "genetic", "successive_halving"]
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
    """A value that a reading set, not the user. ``dataclasses.replace`` copies it, even beside another reading."""

    __slots__ = ()


#: Of logits, float ``(*batch, examples, classes)``, and labels, int32 ``(examples,)``: float ``(*batch,)``.
Rate = Callable[[Any, Any], Any]
_RATED = "(logits, labels) -> one float a candidate"
#: "negative_cross_entropy", "accuracy" or a function, which is called with arrays of whatever computes.
Fitness = Annotated[str | Rate, named_or_own(*get_args(FitnessName), form=_RATED)]
_Fitness = Annotated[str | Rate, named_or_own(*get_args(FitnessName), form=_RATED, unset=AS_READ)]

#: Of key, plan, masks, fitness, a number of children, and mutation: the masks of the children. See ``ask_tell.Breed``.
Breeding = Callable[[Any, Any, Any, Any, int, float], Mapping[str, Any]]
#: A strategy by its name, or a function that breeds.
Strategy = Annotated[
    str | Breeding,
    named_or_own(
        *get_args(StrategyName), form="(key, plan, masks, fitness, count, mutation) -> masks {site: (count, nodes)}"
    ),
]

#: The fields that take a function of the user's, which a record names.
OWN_FUNCTIONS = ("strategy", "fitness", "allocation")

_POPULATION = integer(2, note=" (one elite and one fresh candidate)", remedy="Raise population.")


@dataclass(frozen=True)
class SearchConfig:
    """The search phase (paper, Algorithm 1, lines 1–11).

    A reading sets its fields when the configuration is made. For another reading make a new configuration:
    ``dataclasses.replace`` would keep what the old reading set, and is refused.

    Attributes:
        population: m, the candidates in each generation, ≥ 2: the elite (the fittest of the generation before) and at
            least one fresh candidate.
        generations: the most generations to run, ≥ 1; None sets no limit, and patience or budget ends the search.
        patience: stop after this many generations in a row without a higher best fitness, ≥ 1; None sets no limit.
        budget: the most candidates to score, ≥ population: no generation starts that would exceed it; None sets no
            limit.
        reading: which text of the paper to follow where its two descriptions differ, "algorithm1" or "section3". It
            sets fitness, winner and weights where they are not given.
        strategy: the random search heuristic (RSH): "random_search" draws all but the elite anew (the paper);
            "binary_tournament", "one_plus_lambda" and "genetic" breed them from the masks of the generation before;
            "successive_halving" draws none: the fitter half goes on, and is scored on twice the examples; or a
            function that breeds (``wc.ask_tell.Breed``), on the command line package.module:function.
        mutation: of a child's kept nodes at each site the share that is swapped for removed ones, in (0, 1]; at least
            one node is. Under allocation "global" it is of all sites together, and under Bernoulli sampling the share
            of all nodes that is decided anew.
        fitness: how candidates are scored, higher is fitter: "negative_cross_entropy" (in nats), "accuracy" (in
            [0, 1]), or a function of logits and labels (docs/search-family.md), on the command line
            package.module:function.
        validation_batch: examples on which each generation is scored, ≥ 1; the whole validation split if it has fewer.
        batch_policy: "fresh" draws a validation batch for each generation, "fixed" keeps the first one, "whole" takes
            the whole validation split.
        elite: "rescore" scores the elite again on each batch; "cache" keeps its fitness, and needs a batch that stays
            the same.
        training_steps: steps of SGD that each candidate is trained for before it is scored, ≥ 0, on examples of the
            training split that are the same for all candidates of a generation, at a constant learning rate.
        trained_weights: what the winner passes on after training_steps: "reset" its initial weights, "kept" those that
            it was scored with.
        winner: "last_generation" takes the elite of the last generation, "best_overall" the elite with the highest
            fitness of all generations, "rescored" the fittest when all elites are scored again on one more batch.
        sampling: "exact" keeps the same number of nodes at a site in every candidate; "bernoulli" decides each node by
            itself.
        allocation: how many nodes each site keeps: "uniform", the same portion everywhere; "global", as the draw has
            it, over all sites together; "erk", more where kernels have fewer weights (``wc.erk``); "smart_ratio", fewer
            weights of later convolutions (``wc.smart_ratio``); or a function of the mask space and the sparsity, on the
            command line package.module:function.
        weights: "shared" gives all candidates the parent's initial weights; with "per_candidate" each draws its own.
        fan: the fan of He-normal weights: "fan_in", a layer's inputs, or "fan_out", its outputs.
        fan_counts: whether the fan counts all nodes of the "parent" or only the "kept" ones.
        batch_norm: the statistics of batch normalisation while scoring: "batch", those of the batch; "running", those
            before training (mean 0, variance 1); "recalibrated", each candidate's own on another batch of the split.
        winner_keeps, ties, not_finite: points with one allowed value, rows 10 and 18 of docs/choices.md.
        precision: the precision of matrix products while scoring: "highest" is float32; "default" lets TPUs and GPUs
            round for speed, and another candidate may win.
        chunk: candidates whose masks are in memory at once, ≥ 1; None decides by the size of the masks. It changes no
            draw.
    Raises:
        ConfigError: a field is out of its range, or two fields contradict each other.
    """

    population: Annotated[int, _POPULATION] = 100
    generations: Positive | None = choice(5, "termination", 5)
    patience: Positive | None = choice(5, "termination", None)
    budget: Positive | None = choice(5, "termination", None)
    reading: Reading = "algorithm1"
    strategy: Strategy = choice(29, "search strategy", "random_search")
    mutation: Share = choice(29, "search strategy", 0.05)
    fitness: _Fitness = choice(1, "fitness", AS_READ)
    validation_batch: Positive = choice(2, "validation batch", 1024)
    batch_policy: Literal["fresh", "fixed", "whole"] = choice(2, "validation batch", "fresh")
    elite: Literal["rescore", "cache"] = choice(3, "is the elite scored again", "rescore")
    training_steps: NonNegative = choice(24, "fitness after limited training", 0)
    trained_weights: Literal["reset", "kept"] = choice(24, "fitness after limited training", "reset")
    winner: str = choice(4, "final argmax", AS_READ, ("last_generation", "best_overall", "rescored"))
    sampling: Sampling = choice(7, "exact or random count", "exact")
    allocation: Allocation = choice(27, "where sparsity goes", "uniform")
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
        check_sampling(self.sampling, self.allocation)
        if self.budget is not None and self.budget < self.population:
            raise ConfigError(f"budget must be at least the population, {self.population}; got {self.budget}.")
        if self.generations is None and self.patience is None and self.budget is None:
            raise ConfigError("a search needs an end: set generations, patience or budget.")
        if self.elite == "cache" and self.batch_policy == "fresh":
            raise ConfigError(
                'elite="cache" needs a batch that stays the same; got batch_policy="fresh". Use "fixed" or "whole".'
            )
        drawn = self.batch_policy != "whole" or self.batch_norm == "recalibrated"
        breeds = self.strategy not in ("random_search", "successive_halving")
        check_effects(self, {"mutation": (breeds, "a strategy that breeds masks")})
        if self.strategy == "successive_halving" and (self.batch_policy == "whole" or self.elite == "cache"):
            raise ConfigError(
                'strategy="successive_halving" scores each generation on twice the examples of the one before: it '
                'needs batch_policy="fresh" or "fixed", and elite="rescore".'
            )
        check_effects(self, {"trained_weights": (self.training_steps > 0, "training_steps of at least 1")})
        check_effects(self, {"validation_batch": (drawn, 'batch_policy="fresh" or "fixed"')})

    def _read(self, given: Mapping[str, Any]) -> None:
        """Set what was not given as the reading says. Raise ConfigError for a value that another reading had set."""
        for name, read in READINGS[self.reading].items():
            if isinstance(given[name], _AsRead) and given[name] != read:
                raise ConfigError(
                    f"reading={self.reading!r} sets {name}={read!r}; got {name}={given[name]!r}, which another "
                    f"reading had set. Make a new SearchConfig for another reading, and pass {name} to keep its value."
                )
            if given[name] == AS_READ or isinstance(given[name], _AsRead):
                object.__setattr__(self, name, _AsRead(read))
