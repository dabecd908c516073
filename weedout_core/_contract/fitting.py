"""Whether the arguments of a backend's function fit each other, which no check of a single argument can tell.

Arrays are checked by shape and dtype, which are known without a copy from the device. The batches of an epoch are on
the host, and their values are checked too.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from weedout_core._algorithm.limited import LimitedTraining
from weedout_core._algorithm.population import Population
from weedout_core._algorithm.schedule import CROP_MARGIN, Batches, TrainPlan, check_plan
from weedout_core._contract.calls import Parameters, ScoredBatch, Scoring, Specs, TrainState
from weedout_core._guard.composed import mapping
from weedout_core._guard.kinds import ARRAY
from weedout_core._guard.showing import reordered, shown
from weedout_core._masks.plan import Masks
from weedout_core._networks.network import (
    Network,
    adopted,
    check_normalised,
    checked_network_masks,
    gather_space,
    initial_statistics,
    mask_space,
    parameter_shapes,
)
from weedout_core._networks.trees import checked_parameters, checked_statistics
from weedout_core._random.annotations import Keys
from weedout_core.errors import ConfigError, DataError, MaskError


def keep_smallest(bits: Any, k: int) -> None:
    """The words have one axis, and there are at least k of them."""
    if len(bits.shape) != 1 or not 1 <= k <= bits.shape[0]:
        raise ConfigError(f"keep_smallest needs words (n,) and 1 ≤ k ≤ n; got shape {tuple(bits.shape)} and k = {k}.")


def masks_from_keys(keys: Keys, plan: Any) -> None:
    """There is at least one candidate, and a key for each."""
    if keys.ndim != 2 or not len(keys):
        raise ConfigError(f"keys must be one for each candidate, (m, 2) with m ≥ 1; got shape {keys.shape}.")


def score_population(
    net: Network, params: Parameters | Specs, population: Population, batch: ScoredBatch, scoring: Scoring
) -> None:
    """Weights, candidates and examples fit the network."""
    _check_candidates(net, population)
    if population.weight_keys is None:
        checked_parameters(net, params)
    elif isinstance(params, Mapping) or {spec.path: spec.shape for spec in params} != parameter_shapes(net):
        raise ConfigError(
            "candidates with weight keys draw their own weights: params must be specs of the network's parameters "
            "(wc.nn.he_normal(net))."
        )
    _check_inputs(net, "x", batch.x)
    _check_labels(batch.x, batch.y)
    if batch.statistics is not None and batch.calibration is not None:
        raise ConfigError("batch normalisation takes statistics or inputs for calibration, not both. Leave one out.")
    if batch.statistics is not None:
        _check_normalises(net, "statistics")
        return checked_statistics(net, batch.statistics)
    if batch.calibration is not None:
        if (model := adopted(net)) is not None:
            raise ConfigError(f"{model.name} does not give the statistics of a batch. Leave calibration out.")
        _check_normalises(net, "calibration")
        _check_inputs(net, "calibration", batch.calibration)
    return check_normalised(net, len(batch.x if batch.calibration is None else batch.calibration))


def predict(net: Network, params: Parameters, statistics: Parameters, masks: Masks | None, x: Any) -> None:
    """The trees of R networks and the inputs fit the network."""
    networks = _networks(params)
    _check_networks(net, networks, params, statistics, masks)
    _check_inputs(net, "x", x)


def train_init(net: Network, plan: TrainPlan, keys: Keys, params: Parameters, statistics: Parameters) -> None:
    """The plan fits the network, and there are as many networks in the trees as keys."""
    _check_networks(net, _check_training(net, plan, keys), params, statistics)


def train_epoch(
    net: Network, plan: TrainPlan, state: TrainState, masks: Masks | None, x: Any, y: Any, batches: Batches
) -> None:
    """State, masks and batches fit R networks and the plan, and so does the number of examples."""
    networks = _check_training(net, plan, state.keys)
    _check_networks(net, networks, state.params, state.statistics, masks)
    if plan.optimizer is None:
        checked_parameters(net, mapping(ARRAY)("the velocities", state.optimizer), "the velocities", networks)
    if state.epoch >= plan.config.epochs:
        raise ConfigError(f"training is over after {plan.config.epochs} epochs; the state has done {state.epoch}.")
    _check_inputs(net, "x", x)
    _check_labels(x, y)
    if len(x) != plan.examples:
        raise DataError(f"the plan is one for {plan.examples} examples; got {len(x)}.")
    wanted = (networks, plan.steps, plan.batch_size)
    _check_integers("order", batches.order, wanted, plan.examples)
    if (batches.crops is None) != (plan.config.augmentation == "none"):
        raise ConfigError(f"crops must be given exactly if there is augmentation; it is {plan.config.augmentation!r}.")
    if batches.crops is not None:
        _check_integers("crops", batches.crops[..., :2], (*wanted, 2), 2 * CROP_MARGIN + 1)
        _check_integers("mirrored", batches.crops[..., 2:], (*wanted, 1), 2)


def score_trained(
    net: Network,
    params: Parameters | Specs,
    population: Population,
    batch: ScoredBatch,
    scoring: Scoring,
    limited: LimitedTraining,
) -> None:
    """As for ``score_population``; the plan fits the network, and the examples of the steps fit both."""
    score_population(net, params, population, batch, scoring)
    check_plan(net, limited.plan)
    x, y = limited.examples
    _check_inputs(net, "the training inputs", x)
    _check_labels(x, y)
    if len(x) != limited.plan.examples:
        raise DataError(f"the plan is one for {limited.plan.examples} examples; got {len(x)}.")


def mask_gradient(
    net: Network, params: Parameters, statistics: Parameters, masks: Masks, x: Any, y: Any | None
) -> None:
    """Weights, statistics, masks and examples are the network's, which has masks of its own alone."""
    if gather_space(net):
        raise ConfigError("a gradient of masks is one of the parent's: hand in the network that was compacted.")
    checked_parameters(net, params)
    checked_statistics(net, statistics)
    checked_network_masks(net, masks, leading=0)
    _check_inputs(net, "x", x)
    if y is not None:
        _check_labels(x, y)


#: The checks, by the name of the function.
FITTING: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        one.__name__: one
        for one in (
            keep_smallest, masks_from_keys, score_population, predict, train_init, train_epoch, score_trained,
            mask_gradient,
        )
    }
)  # fmt: skip


def _check_candidates(net: Network, population: Population) -> None:
    size, space = population.size, mask_space(net)
    if population.plan is None:
        if (lead := checked_network_masks(net, population.masks or {}, leading=1, fetched=False)) != (size,):
            raise MaskError(f"the masks of a population must be those of its {size} candidates; got {lead[0]}.")
        return _check_keys(population)
    checked_network_masks(net, None, leading=1)
    planned = {site.site: site.shape for site in population.plan.sites}
    if population.mask_keys is None:
        raise ConfigError("a population must have masks, or a plan and keys to draw them by; got a plan without keys.")
    if planned != space:
        raise ConfigError(
            f"a population must have masks, or a plan for the network's sites and their shapes {space}; got a plan for "
            f"{planned}."
        )
    return _check_keys(population)


def _check_keys(population: Population) -> None:
    for name, keys in {"mask_keys": population.mask_keys, "weight_keys": population.weight_keys}.items():
        if keys is not None and keys.shape != (population.size, 2):
            raise ConfigError(f"{name} must be one for each of {population.size} candidates; got shape {keys.shape}.")


def _check_training(net: Network, plan: TrainPlan, keys: Keys) -> int:
    """Check the plan and the keys of a training, and return how many networks are trained."""
    check_plan(net, plan)
    try:
        hash(plan)
    except TypeError as error:
        raise ConfigError(f"a plan must be hashable, its optimizer too; got {shown(plan.optimizer)}.") from error
    if keys.ndim != 2 or not len(keys):
        raise ConfigError(f"keys must be one for each network, (R, 2) with R ≥ 1; got shape {keys.shape}.")
    return len(keys)


def _networks(params: Parameters) -> int:
    """How many networks a tree holds."""
    shape = next((tuple(value.shape) for value in params.values()), ())
    return shape[0] if shape and shape[0] else 1


def _check_networks(
    net: Network, networks: int, params: Parameters, statistics: Parameters, masks: Masks | None = None
) -> None:
    checked_parameters(net, params, "params", networks)
    checked_statistics(net, statistics, networks)
    if masks is None or not (masks or mask_space(net) or gather_space(net)):
        return
    if (lead := checked_network_masks(net, masks, leading=1, fetched=False)) != (networks,):
        raise MaskError(f"masks must have a leading axis of {networks} networks; got {lead[0]}.")


def _check_normalises(net: Network, name: str) -> None:
    if not initial_statistics(net):
        raise ConfigError(f"{name} are for batch normalisation, and the network has none. Leave {name} out.")


def _check_inputs(net: Network, name: str, x: Any) -> None:
    shape = tuple(x.shape)
    if shape[1:] != net.input_shape or not shape[0] or not array_namespace(x).isdtype(x.dtype, "real floating"):
        order = reordered(net.input_shape, shape[1:])
        raise DataError(
            f"{name} must be floats (examples, *{net.input_shape}) and not empty; got {x.dtype} {shape}.{order}"
        )


def _check_labels(x: Any, y: Any) -> None:
    if tuple(y.shape) != (len(x),) or not array_namespace(y).isdtype(y.dtype, "integral"):
        raise DataError(f"y must be integers ({len(x)},), one an example; got {y.dtype} {tuple(y.shape)}.")


def _check_integers(name: str, integers: np.ndarray, shape: tuple[int, ...], bound: int) -> None:
    """Integers on the host, of this shape, in [0, bound)."""
    fits = integers.shape == shape and integers.dtype.kind in "iu"
    if not fits or (integers.size and not 0 <= integers.min() <= integers.max() < bound):
        raise ConfigError(f"{name} must be integers {shape} in [0, {bound}); got {integers.dtype} {integers.shape}.")
