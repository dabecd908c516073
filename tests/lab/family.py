"""The options of a search, each with every value that it takes, and what a value needs beside it.

A value that is added to an option is a member of this list without being written down. The values that are not set are
those of one member more, "as it comes".
"""

import math
from typing import Any, NamedTuple, get_args

from array_api_compat import array_namespace

import weedout_core as wc
from weedout_core._configs.checks import named_options
from weedout_core._configs.search_config import FitnessName, StrategyName
from weedout_core._masks.allocation import ALLOCATIONS


def front(space: Any, sparsity: float) -> dict[str, int]:
    """An allocation: half of each site, but for one more at the first for each other, which keeps one less."""
    first, *others = space
    half = {site: math.prod(shape) // 2 for site, shape in space.items()}
    return half | {first: half[first] + len(others)} | {site: half[site] - 1 for site in others}


def neighbours(key: Any, plan: Any, masks: Any, fitness: Any, count: int, mutation: float) -> Any:
    """A strategy: the fittest, mutated."""
    copies = {site: mask[[int(wc.ask_tell.select(fitness))] * count] for site, mask in masks.items()}
    return wc.ask_tell.mutated(wc.random.split(key, count), copies, plan, mutation)


def first_class(logits: Any, labels: Any) -> Any:
    """A fitness: the mean logit of the first class."""
    xp = array_namespace(logits)
    return xp.mean(logits[..., 0], axis=-1)


#: Functions of the user's, and their places, by which the command names them.
FUNCTIONS: dict[str, Any] = {"strategy": neighbours, "fitness": first_class, "allocation": front}
OWN = {field: f"{__name__}:{function.__name__}" for field, function in FUNCTIONS.items()}


class Member(NamedTuple):
    """A value of an option.

    Attributes:
        field, value: of ``SearchConfig``, or "granularity" of a network.
        more: what else is set, {field: value}.
        normalised: whether it needs a network with convolutions and batch normalisation.
    """

    field: str
    value: Any
    more: dict[str, Any] = {}  # noqa: RUF012
    normalised: bool = False

    @property
    def search(self) -> dict[str, Any]:
        """The fields of ``SearchConfig`` that are set, with functions themselves in place of their places."""
        fields = {name: value for name, value in self.all.items() if name != "granularity"}
        return {name: FUNCTIONS[name] if value == OWN.get(name) else value for name, value in fields.items()}

    @property
    def granularity(self) -> wc.nn.Granularity:
        """Of its network."""
        return self.all.get("granularity", "node")

    @property
    def all(self) -> dict[str, Any]:
        """All that is set."""
        return self.more | ({} if self.field == "as it comes" else {self.field: self.value})

    def __str__(self) -> str:
        beside = [f"{name}={value}" for name, value in self.all.items()]
        return ",".join(beside) or self.field


_VALUES = named_options(wc.SearchConfig) | {
    "strategy": (*get_args(StrategyName), OWN["strategy"]),
    "fitness": (*get_args(FitnessName), OWN["fitness"]),
    "allocation": (*ALLOCATIONS, OWN["allocation"]),
    "granularity": get_args(wc.nn.Granularity),
    "training_steps": (0, 2),
}
_SET = {name: getattr(wc.SearchConfig(), name) for name in _VALUES if name != "granularity"} | {"granularity": "node"}
_MORE = {
    ("elite", "cache"): {"batch_policy": "fixed"},
    ("trained_weights", "kept"): {"training_steps": 2},
    ("allocation", "smart_ratio"): {"granularity": "connection"},
}
_NORMALISED = {("allocation", "smart_ratio"), ("granularity", "channel"), ("granularity", "connection")}


def _member(field: str, value: Any) -> Member:
    normalised = field == "batch_norm" or (field, value) in _NORMALISED
    return Member(field, value, _MORE.get((field, value), {}), normalised)


#: Each value of each option that is not the one that is set without it; some in combination, which meet in masks.
FAMILY = (
    Member("as it comes", ""),
    *(_member(field, value) for field, values in _VALUES.items() for value in values if value != _SET[field]),
    *(
        Member("strategy", strategy, {"granularity": "connection", "sampling": "bernoulli"})
        for strategy in get_args(StrategyName)
    ),
)
