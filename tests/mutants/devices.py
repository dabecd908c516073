"""Devices: mutants that draw, score or predict wrongly where several devices share the work.

On NumPy, which says that it has eight, the work is cut up as if they were there.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import DEVICES
from tests.mutants.chunks import some
from tests.mutants.witnesses import FLAT, keeps, predicts, scores, sensitivities, words
from weedout_core.backend import Backend


def shares(backend: Backend, size: int) -> list[range]:
    """What each device has of ``size`` rows, in equal parts but for the last."""
    each = -(-size // backend.devices)
    return [range(start, min(start + each, size)) for start in range(0, size, each)]


@DEVICES.wrapper("random_bits", words(n=20))
def ragged_words_repeat(backend: Backend) -> Backend:
    """Words are made in equal parts; those that are left over repeat the first ones."""

    def change(drawn: Any, key: Any, n: int) -> Any:
        whole = n // backend.devices * backend.devices
        return np.concatenate([drawn[:whole], drawn[: n - whole]]) if whole else drawn

    return with_result(backend, "random_bits", change)


@DEVICES.wrapper("keep_smallest", keeps([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], 8))
def smallest_of_each_share(backend: Backend) -> Backend:
    """Each device keeps its part of k among its own words."""

    def keep_smallest(bits: Any, k: int) -> Any:
        if len(bits) % backend.devices or k % backend.devices:
            return backend.keep_smallest(bits, k)
        parts = np.split(np.asarray(bits), backend.devices)
        return np.concatenate([backend.keep_smallest(part, k // backend.devices) for part in parts])

    return replace(backend, keep_smallest=keep_smallest)


def scored_in_shares(backend: Backend, part: Callable[[Any, range], Any]) -> Backend:
    """A backend that scores each device's candidates: ``part(score, rows)``, with ``score(rows)`` their fitness."""

    def score_population(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> Any:
        def score(rows: range) -> np.ndarray:
            return backend.score_population(net, params, some(population, np.asarray(rows)), batch, scoring)

        return np.concatenate([part(score, rows) for rows in shares(backend, population.size)])

    return replace(backend, score_population=score_population)


@DEVICES.wrapper("score_population", scores(size=16))
def candidates_of_the_first_device(backend: Backend) -> Backend:
    """Each device scores the candidates of the first."""
    return scored_in_shares(backend, lambda score, rows: score(range(len(rows))))


@DEVICES.wrapper("score_population", scores(size=11))
def last_device_idle(backend: Backend) -> Backend:
    """The last device, which may have fewer candidates, leaves a fitness of 0."""
    return scored_in_shares(backend, lambda score, rows: score(rows) * (len(rows) > 1 or rows.start == 0))


@DEVICES.wrapper("score_population", scores(size=16))
def fitness_interleaved(backend: Backend) -> Backend:
    """The results of the devices are put together one from each in turn."""

    def change(fitness: Any, *_: Any) -> Any:
        if len(fitness) % backend.devices:
            return fitness
        return fitness.reshape(backend.devices, -1).T.ravel()

    return with_result(backend, "score_population", change)


@DEVICES.wrapper("score_population", scores(size=3))
def padding_stays(backend: Backend) -> Backend:
    """A population that the devices do not divide is filled up, and the fitness of the filling is not cut off."""

    def change(fitness: Any, *_: Any) -> Any:
        return np.pad(fitness, (0, -len(fitness) % backend.devices), mode="edge")

    return with_result(backend, "score_population", change)


@DEVICES.wrapper("score_population", scores(size=3, examples=16))
def each_device_its_examples(backend: Backend) -> Backend:
    """The examples are shared, and the fitness is that on the first device's share."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        share = len(batch.x) // backend.devices
        if share > 1:
            batch = batch._replace(x=batch.x[:share], y=batch.y[:share])
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)


@DEVICES.wrapper("score_population", scores(size=3, others=16, norm="recalibrated"))
def each_device_its_calibration(backend: Backend) -> Backend:
    """The inputs for calibration are shared, and the statistics are those of the first device's share."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        if batch.calibration is not None and len(batch.calibration) >= 2 * backend.devices:
            batch = batch._replace(calibration=batch.calibration[: len(batch.calibration) // backend.devices])
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)


@DEVICES.wrapper("predict", predicts(FLAT, examples=11))
def ragged_examples_are_zero(backend: Backend) -> Backend:
    """Examples that are left over when the devices have equal parts have logits of 0."""

    def change(logits: Any, *_: Any) -> Any:
        whole = logits.shape[1] // backend.devices * backend.devices
        return np.concatenate([logits[:, :whole], 0 * logits[:, whole:]], axis=1) if whole else logits

    return with_result(backend, "predict", change)


@DEVICES.wrapper("mask_gradient", sensitivities(FLAT, examples=16))
def gradient_averaged_over_devices(backend: Backend) -> Backend:
    """The gradient of masks is a mean over the devices' shares of the examples, where it is a sum over all."""

    def change(gradient: Any, net: Any, params: Any, statistics: Any, masks: Any, x: Any, y: Any) -> Any:
        parts = 1 if len(x) % backend.devices else backend.devices
        return {site: value / parts for site, value in gradient.items()}

    return with_result(backend, "mask_gradient", change)
