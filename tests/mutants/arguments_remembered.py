"""Purity: mutants that remember arguments, hand out memory that is written over, or round otherwise each time."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_result
from tests.mutants.arguments_written_to import predicted, scored
from tests.mutants.body import PURITY
from tests.mutants.witnesses import (
    FLAT,
    initialises,
    predicts,
    sensitivities,
    trains,
)
from weedout_core import mask_plan
from weedout_core.backend import Backend, map_tree
from weedout_core.nn import ParameterSpec, he_normal
from weedout_core.random import key, split


def remembering(backend: Backend, name: str, by: Callable[..., Any]) -> Backend:
    """A backend of which a function gives what it gave before for the same ``by(*arguments)``."""
    kept: dict[Any, Any] = {}
    function = getattr(backend, name)

    def remembered(*arguments: Any) -> Any:
        which = by(*arguments)
        if which not in kept:
            kept[which] = (function(*arguments), arguments)  # the arguments too, so that no identity is used again
        return kept[which][0]

    remembered.__wrapped__ = function  # its signature  # pyright: ignore[reportFunctionMemberAccess]
    return replace(backend, **{name: remembered})


def _buffers(*arguments: Any) -> tuple[int, ...]:
    """The identities of all arrays in some arguments."""
    found: list[int] = []
    for each in arguments:
        found += [id(part) for part in each.values()] if isinstance(each, Mapping) else [id(each)]
    return tuple(found)


@PURITY.wrapper("score_population", scored())
def fitness_kept_by_buffer(backend: Backend) -> Backend:
    """A fitness is computed once for each array of inputs: one that is written over keeps the old fitness."""
    return remembering(
        backend,
        "score_population",
        lambda net, params, population, batch, scoring: (
            net,
            _buffers(params, population.masks or {}, batch.x, batch.y, batch.statistics or {}, batch.calibration),
            *(None if keys is None else keys.tobytes() for keys in (population.mask_keys, population.weight_keys)),
            population.plan,
            scoring,
        ),
    )


@PURITY.wrapper("predict", predicted())
def logits_kept_by_buffer(backend: Backend) -> Backend:
    """Logits are computed once for each array of inputs and tree of weights: what is written over keeps its logits."""
    return remembering(backend, "predict", lambda net, *arrays: (net, _buffers(*arrays)))


@PURITY.wrapper("predict", predicted())
def weights_kept_by_network(backend: Backend) -> Backend:
    """The weights of a network are compiled into its program: other weights of the same network are never read."""
    kept: dict[Any, Any] = {}

    def predict(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> Any:
        mine = kept.setdefault((net, len(next(iter(params.values())))), map_tree(np.array, params))
        return backend.predict(net, mine, statistics, masks, x)

    return replace(backend, predict=predict)


def _drawn_twice(backend: Backend) -> Any:
    plan = mask_plan({"site": (9,)}, 0.5)
    one = backend.masks_from_keys(split(key(1), 2), plan)
    before = {site: np.array(backend.to_numpy(mask)) for site, mask in one.items()}
    return [before, backend.masks_from_keys(split(key(2), 2), plan), one]


@PURITY.wrapper("masks_from_keys", _drawn_twice)
def masks_kept_by_plan(backend: Backend) -> Backend:
    """Masks are drawn once for each plan and number of candidates, whatever the keys are."""
    return remembering(backend, "masks_from_keys", lambda keys, plan: (plan, len(keys)))


@PURITY.wrapper("draw_parameters", lambda backend: [initialises(seed=seed)(backend) for seed in (1, 2)])
def weights_kept_by_specs(backend: Backend) -> Backend:
    """Initial weights are drawn once for each network, whatever the key is."""
    return remembering(backend, "draw_parameters", lambda key, specs: specs)


def _two_deviations(backend: Backend) -> Any:
    return [backend.draw_parameters(key(1), (ParameterSpec("a", (3,), 1, std),)) for std in (1.0, 2.0)]


@PURITY.wrapper("draw_parameters", _two_deviations)
def deviations_kept_by_key(backend: Backend) -> Backend:
    """The weights of a path are drawn once for each key and shape: another deviation is not seen."""

    def draw_parameters(key: Any, specs: Any) -> Any:
        return {spec.path: one(key, spec) for spec in specs}

    kept: dict[Any, Any] = {}

    def one(key: Any, spec: ParameterSpec) -> Any:
        which = (str(key), spec.path, spec.shape)
        if which not in kept:
            kept[which] = backend.draw_parameters(key, (spec,))[spec.path]
        return kept[which]

    return replace(backend, draw_parameters=draw_parameters)


def reusing(backend: Backend, name: str) -> Backend:
    """A backend of which a function gives the same memory for each answer of a shape."""
    buffers: dict[Any, np.ndarray] = {}

    def reused(path: str, value: Any) -> np.ndarray:
        array = np.asarray(value)
        buffer = buffers.setdefault((path, array.shape, array.dtype), np.empty_like(array))
        buffer[...] = array
        return buffer

    def change(result: Any, *_: Any) -> Any:
        if isinstance(result, dict):
            return {path: reused(path, value) for path, value in result.items()}
        return reused("", result)

    return with_result(backend, name, change)


def _twice(call: Callable[[Backend, int], Any]) -> Callable[[Backend], Any]:
    def answers(backend: Backend) -> Any:
        one = call(backend, 1)
        return [call(backend, 2), one]

    return answers


for _name, _call in (
    ("random_bits", lambda backend, seed: backend.random_bits(key(seed), 9)),
    (
        "masks_from_keys",
        lambda backend, seed: backend.masks_from_keys(split(key(seed), 2), mask_plan({"s": (9,)}, 0.5)),
    ),
    ("draw_parameters", lambda backend, seed: backend.draw_parameters(key(seed), he_normal(FLAT))),
    ("predict", lambda backend, seed: predicts(FLAT, prepare=lambda given: given.x.__imul__(seed))(backend)[0]),
    ("mask_gradient", lambda backend, seed: sensitivities(FLAT, prepare=lambda given: given.x.__imul__(seed))(backend)),
):
    PURITY.wrapped(
        f"{_name}_reuses_its_memory",
        _name,
        "Each answer of a shape is in the same memory: the next call writes over it.",
        _twice(_call),
        partial(reusing, name=_name),
    )


def _two_epochs(backend: Backend) -> Any:
    shown = trains(FLAT, epochs=2, learning_rate=1.0)(backend)
    return [result for _, result in shown]


@PURITY.wrapper("train_epoch", _two_epochs)
def losses_reuse_their_memory(backend: Backend) -> Backend:
    """The losses of an epoch are in the memory of those of the epoch before."""
    buffers: dict[Any, np.ndarray] = {}

    def change(result: Any, *_: Any) -> Any:
        state, shown = result
        loss = buffers.setdefault(shown.loss.shape, np.empty_like(shown.loss))
        loss[...] = shown.loss
        return state, shown._replace(loss=loss)

    return with_result(backend, "train_epoch", change)


def moving(backend: Backend, name: str) -> Backend:
    """A backend of which every second call of a function rounds otherwise."""
    calls = count()

    def change(result: Any, *_: Any) -> Any:
        off = 1 + next(calls) % 2 * 2.0**-40
        return map_tree(lambda value: value * off, result) if isinstance(result, dict) else result * off

    return with_result(backend, name, change)


def _same(call: Callable[[Backend], Any]) -> Callable[[Backend], Any]:
    """A witness: whether a call gives the same bits each time."""
    return lambda backend: len({str(sorted(_bits(call(backend)))) for _ in range(3)})


def _bits(answer: Any) -> list[bytes]:
    return [np.asarray(value).tobytes() for value in (answer.values() if isinstance(answer, dict) else [answer])]


for _name, _call in (
    ("predict", lambda backend: predicts(FLAT)(backend)[0]),
    ("draw_parameters", initialises(FLAT)),
    ("mask_gradient", sensitivities(FLAT)),
):
    PURITY.wrapped(
        f"{_name}_rounds_otherwise_each_time",
        _name,
        "Every second call rounds otherwise, as sums in another order do.",
        _same(_call),
        partial(moving, name=_name),
    )
