"""The sheet of choices: what the paper says on each point that it leaves open, and what a run did."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from weedout_core import Network, SearchConfig, TrainConfig, choices
from weedout_core.backend import adopted
from weedout_core.lab.experiment.configuration import ExperimentConfig

#: What the paper says, by row of docs/choices.md, whose words these are.
SAID = {
    1: "section 2 and Algorithm 1: the negative cost; section 3: the highest validation accuracy",
    2: "a fresh batch in each generation, shared by all candidates; no size",
    3: "Algorithm 1, lines 5–7: yes, everybody is scored on the new batch",
    4: "after the loop m − 1 candidates are not scored; section 3: over all generations",
    5: "five generations; section 2 also allows the convergence of the best fitness",
    6: "a product with the activations of a layer; channels are future work",
    7: "section 3: distributed randomly, based on η; section 5: a fixed portion in each layer",
    8: "section 2: the sub-networks of one initialised parent; section 3: each sparse network is initialised",
    9: "named, no more",
    10: "it is passed on",
    11: "silent",
    12: "a batch of 1,024 over eight cores, 128 each",
    13: "on layer activation outputs, in the convolutional blocks",
    14: "a plural; a Wide ResNet has one",
    15: "not mentioned",
    16: "fixed dropout nodes",
    17: "a random network of the population",
    18: "silent",
    19: "silent",
    20: "the batch, 1,024; neither depth and width nor epochs, rate, schedule, decay and augmentation",
    21: "five runs; the method is not stated",
    23: "masks act on activations",
    24: "future work",
    25: "silent",
    26: "silent",
    27: "section 5: a fixed portion of nodes in each layer; a global portion is future work",
    28: "section 5: the search can be continued through the entire training process; future work",
    29: "section 2: any RSH method may be applied, and Random Search is; section 5: others are future work",
}


#: What stands for the value of a field that the model of a run settles.
OWN = "the model's own"
#: The fields that a model of the user's own settles, and those that an adopted one settles besides.
_BY_MODEL = ("hidden", "granularity", "mask_residual", "rescale")
_BY_ADOPTED = ("SearchConfig.fan", "SearchConfig.fan_counts", "TrainConfig.batch_norm_group")


class Point(NamedTuple):
    """A point that the paper leaves open.

    Attributes:
        row: of docs/choices.md.
        point: the name of the point.
        said: what the paper says.
        field: the field of a configuration that settles it.
        value: what the run chose; ``OWN`` where its model settles it.
        default: what is chosen if nothing is said; "" where the run chose that, or its model settles it.
    """

    row: int
    point: str
    said: str
    field: str
    value: str
    default: str


def sheet(chosen: Sequence[Mapping[str, Any]], own: Collection[str] = ()) -> list[Point]:
    """The points from the choices in a run's config.json, of which the model settles some fields (:func:`settled`)."""
    defaults = {one.field: _text(one.value) for one in choices(SearchConfig(), TrainConfig(), ExperimentConfig())}
    points: list[Point] = []
    for one in chosen:
        field = one["field"]
        value = OWN if field in own else _text(one["value"])
        default = defaults.get(field, value)
        shown = "" if value in (default, OWN) else default
        points.append(Point(one["row"], one["point"], SAID[one["row"]], field, value, shown))
    return points


def settled(network: str, net: Network) -> set[str]:
    """The fields that a run's model settles itself, so that the configuration has no effect on them.

    Args:
        network: what the configuration calls it.
        net: the parent.
    """
    by_model = {f"ExperimentConfig.{name}" for name in _BY_MODEL} if ":" in network else set[str]()
    return by_model | (set() if adopted(net) is None else set(_BY_ADOPTED))


def _text(value: Any) -> str:
    """A value as it is read in a sentence: lists with spaces, nothing as "none"."""
    if value is None or value == () or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return value if isinstance(value, str) else repr(value)
