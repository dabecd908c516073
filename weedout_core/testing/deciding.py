"""Checks with the values that decide: a single NaN or infinity, ties, zeros, and what is very large or small."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from weedout_core._algorithm.fitness import FITNESS
from weedout_core._algorithm.population import explicit_population
from weedout_core._contract.calls import ScoredBatch, Scoring
from weedout_core._contract.record import Backend, stack
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
)
from weedout_core._networks.network import Network, initial_statistics, mask_space, parameter_shapes
from weedout_core.testing.comparing import within
from weedout_core.testing.networks import networks
from weedout_core.testing.tolerances import bound
from weedout_core.testing.trees import on_device
from weedout_core.testing.trying import some

_CLASSES = 5
#: Its logits are its inputs, where the weights are the identity and no mask removes any.
_LOGITS = Network((Mask("inputs"), Dense("out", _CLASSES)), (_CLASSES,))
_IDENTITY = {"out/kernel": np.eye(_CLASSES, dtype=np.float32), "out/bias": np.zeros(_CLASSES, np.float32)}

#: Logits of one example each that decide: ties with and without the true class, first or last; all equal; blank; far
#: apart on either side; and an ordinary one. All of them come far below and far above 0 too.
_NEAR = np.array(
    [
        [1, 1, 0, 0, 0], [0, 2, 0, 2, 2], [0, 0, 3, 0, 3], [7, 7, 7, 7, 7], [0, 0, 0, 0, 0],
        [100, -100, 0, 0, 0], [-100, 100, 0, 0, 0], [-100, -100, -100, -100, -99], [30, 0, 0, 0, 0],
        [-1, -2, -3, -4, -5], [0.5, -0.25, 1.5, 2, -3],
    ],
    dtype=np.float32,
)  # fmt: skip
_FAR = np.array([[-1e30, -1e30, -1e30, -1e30, -1e30], [1e30, 0, 1e30, 0, -1e30]], dtype=np.float32)
_ROWS = np.concatenate([_NEAR - 20_000, _NEAR + 20_000, _FAR, _NEAR])


def deciding_logits(backend: Backend, reference: Backend) -> None:
    """Of equal logits the lowest is predicted; probabilities are not cut, and no example is left out."""
    some(networks(backend, (_LOGITS,)))
    masks = {"inputs": np.ones((2, _CLASSES), bool)}
    for label in range(_CLASSES):
        y = np.full(len(_ROWS), label, np.int32)
        for fitness in sorted(FITNESS):
            for rows in (_ROWS, *np.split(_ROWS, len(_ROWS))) if label in (1, 4) else (_ROWS,):
                given = _IDENTITY, masks, rows, y[: len(rows)], fitness
                got, wanted = _scored(backend, *given), _scored(reference, *given)
                # The logits have no error, so that equal ones are equal: only the mean is rounded.
                apart = np.tile(np.array([1.0, 0.0]), (len(rows), 1))
                exact = apart if fitness == "accuracy" else rows.astype(np.float64)
                within(f"{fitness} of {rows.tolist()} for {label}", got, wanted, bound(fitness)(exact, 0 * exact))


def _scored(by: Backend, params: Any, masks: Any, x: np.ndarray, y: np.ndarray, fitness: Any) -> np.ndarray:
    batch = ScoredBatch(by.asarray(x), by.asarray(y))
    candidates = explicit_population(on_device(by, masks), len(masks["inputs"]))
    return by.to_numpy(
        by.score_population(_LOGITS, on_device(by, params), candidates, batch, Scoring(fitness, "highest", 2))
    )


def not_finite_stays(backend: Backend, reference: Backend) -> None:
    """A single logit that is NaN or infinite, or a label that is no class, takes the fitness away."""
    del reference
    some(networks(backend, (_LOGITS,)))
    masks = {"inputs": np.ones((2, _CLASSES), bool)}
    x, y = _ROWS[-3:], np.array([0, 1, 0], np.int32)
    for fitness in sorted(FITNESS):
        assert np.isfinite(_scored(backend, _IDENTITY, masks, x, y, fitness)).all(), f"{fitness} of plain numbers"
        for value in (math.nan, math.inf, -math.inf):
            for place in (0, 4):  # the logit of a class that is among the labels, and of one that is not
                bias = np.where(np.arange(_CLASSES) == place, np.float32(value), np.float32(0))
                got = _scored(backend, _IDENTITY | {"out/bias": bias}, masks, x, y, fitness)
                assert not np.isfinite(got).any(), f"{fitness} is {got} with a logit of {value} in class {place}"
            broken = x.copy()
            broken[1, 2] = value
            for weight in (1, 0):  # a product with 0 is lost too
                kernel = np.diag([1, 1, weight, 1, 1])
                got = _scored(backend, _IDENTITY | {"out/kernel": kernel * 1.0}, masks, broken, y, fitness)
                assert not np.isfinite(got).any(), f"{fitness} is {got} with an input of {value} and weights {weight}"
        for label in (-1, _CLASSES, 1000):
            got = _scored(backend, _IDENTITY, masks, x, np.array([0, label, 0], np.int32), fitness)
            assert np.isnan(got).all(), f"{fitness} is {got} with a label of {label}; there are {_CLASSES} classes"
        removed = {"inputs": np.arange(_CLASSES) != np.array([[2], [1]])}
        broken = x.copy()
        broken[:, 2] = math.inf
        got = _scored(backend, _IDENTITY, removed, broken, y, fitness)
        assert np.isfinite(got[0]), f"{fitness} is {got[0]} where the node that is infinite is removed"
        assert not np.isfinite(got[1]), f"{fitness} is {got[1]} where the node that is infinite is kept"


#: Layers before a Dense that passes on what it gets: what each makes of values that decide.
_ONE_BY_ONE: Mapping[str, tuple[tuple[Any, ...], tuple[int, ...]]] = {
    "Relu": ((Relu(),), (12,)),
    "Mask": ((Mask("inputs"),), (12,)),
    "a rescaling Mask": ((Mask("inputs", rescale=True),), (12,)),
    "BatchNorm": ((BatchNorm("norm", epsilon=0.1),), (12,)),
    "MaxPool": ((MaxPool(2), Flatten()), (4, 4, 3)),
    "GlobalAveragePool": ((GlobalAveragePool(),), (2, 2, 12)),
    "Residual": ((Residual((Relu(),)),), (12,)),
    "an empty Residual": ((Residual((), ()),), (12,)),
    "Scale": ((Scale(-0.5),), (12,)),
    "a Scale of 0": ((Scale(0.0),), (12,)),
    "Dense with weights of 0": ((Dense("zero", 12),), (12,)),
    "Conv with weights of 0": ((Conv("zero", 3), Flatten()), (2, 2, 3)),
    "Dense whose removed weights are not finite": ((Dense("zero", 12, connections=True),), (12,)),
    "Conv whose removed weights are not finite": ((Conv("zero", 3, connections=True), Flatten()), (2, 2, 3)),
}
_VALUES = np.array(
    [0.0, -0.0, 1e-30, -1e-30, 7.0, -7.0, 1e4, -1e4, 1e30, -1e30, 3.0, 3.0, -2.0, -2.0, 6.5, 0.1], np.float32
)


def deciding_inputs(backend: Backend, reference: Backend) -> None:
    """Each layer gives what the reference gives for zeros, equal, very large and small values, NaN and infinity."""
    nets = {name: Network((*layers, Dense("out", 12)), shape) for name, (layers, shape) in _ONE_BY_ONE.items()}
    for name, net in some((name, net) for name, net in nets.items() if networks(backend, (net,))):
        size = math.prod(net.input_shape)
        plain = np.stack([np.roll(np.resize(_VALUES, size), shift) for shift in range(16)])
        broken = [np.where(np.arange(size) == place, value, plain[0]) for place in (0, 5) for value in _ODD]
        x = np.concatenate([plain, broken, -np.abs(plain) - 1]).reshape(-1, *net.input_shape).astype(np.float32)
        for variance in (0.0, 1e-9, 1.0, 1e6, math.inf) if initial_statistics(net) else (0.0,):
            for kept in (2, 0) if mask_space(net) else (2,):
                _predicted_alike(backend, reference, f"{name}, {kept} of 3 kept,", net, x, variance, kept)


_ODD = (math.nan, math.inf, -math.inf)


def _predicted_alike(
    backend: Backend, reference: Backend, name: str, net: Network, x: np.ndarray, variance: float, kept: int
) -> None:
    """Each example alone, because what is not finite spreads to all logits of an example, and not to another.

    Nor does it spread to another network: the weights of a second one are all NaN.
    """
    params = {path: np.full(shape, path == "norm/scale", np.float32) for path, shape in parameter_shapes(net).items()}
    params["out/kernel"] = np.eye(12, dtype=np.float32)
    statistics = {path: np.full(value.shape, 0.5) for path, value in initial_statistics(net).items()}
    statistics |= {path: np.full_like(value, variance) for path, value in statistics.items() if "variance" in path}
    masks = {site: np.arange(math.prod(shape)).reshape(shape) % 3 < kept for site, shape in mask_space(net).items()}
    params |= {site: _lost_where_removed(params[site], mask) for site, mask in masks.items() if site in params}

    def predicted(by: Backend) -> np.ndarray:
        lost = {path: np.full_like(value, np.nan) for path, value in params.items()}
        trees = stack(by, [params, lost]), stack(by, [statistics] * 2), stack(by, [masks] * 2)
        return by.to_numpy(by.predict(net, *trees, by.asarray(x)))[0]

    got, wanted = predicted(backend), predicted(reference)
    # The reference has numbers beyond float32, which are infinite there; and where it has none, there are none.
    largest = np.finfo(np.float32).max
    known = np.isfinite(wanted).all(axis=1) & (np.abs(wanted) < largest).all(axis=1)
    wrong = (np.isfinite(got) != np.expand_dims(known, 1)).any(axis=1)
    assert not wrong.any(), f"{name}: {x[wrong][0].ravel()} gives {got[wrong][0]}; the reference has {wanted[wrong][0]}"
    most = np.abs(wanted[known]).max(axis=1, keepdims=True) * _FEW_ROUNDINGS
    within(f"{name} with a variance of {variance}", got[known], wanted[known], most)


def _lost_where_removed(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask, array, np.resize(np.array(_ODD, np.float32), array.shape))


#: A layer and a sum of twelve products by the identity, eleven of which are 0.
_FEW_ROUNDINGS = 24 * 2.0**-24
