"""Few examples: populations are scored in chunks, and candidates of other chunks, or the last ones, come out wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments
from tests.mutants.body import FEW
from tests.mutants.witnesses import scores
from weedout_core.backend import Backend, Population

Part = Callable[[Backend, tuple[Any, ...], int, int], np.ndarray]


def some(population: Population, rows: Any) -> Population:
    """Some candidates of a population."""
    mask_keys, weight_keys = (None if part is None else part[rows] for part in population[2:4])
    masks = population.masks and {site: mask[rows] for site, mask in population.masks.items()}
    return Population(len(rows), population.plan, mask_keys, weight_keys, masks)


def in_chunks(backend: Backend, part: Part) -> Backend:
    """Score in chunks: ``part(backend, arguments, start, stop)`` is the fitness of the candidates of a chunk."""

    def score_population(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> Any:
        arguments = (net, params, population, batch, scoring)
        starts = range(0, population.size, scoring.chunk)
        return np.concatenate(
            [part(backend, arguments, start, min(start + scoring.chunk, population.size)) for start in starts]
        )

    return replace(backend, score_population=score_population)


def rows(backend: Backend, arguments: tuple[Any, ...], chosen: Any) -> np.ndarray:
    """The fitness of some candidates."""
    net, params, population, batch, scoring = arguments
    return backend.score_population(net, params, some(population, np.asarray(chosen)), batch, scoring)


@FEW.wrapper("score_population", scores(size=5, chunk=2))
def ragged_chunk_is_zero(backend: Backend) -> Backend:
    """The last chunk is not scored where it is smaller than the others."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        found = rows(backend, arguments, range(start, stop))
        return found if stop - start == arguments[4].chunk else 0 * found

    return in_chunks(backend, part)


@FEW.wrapper("score_population", scores(size=5, chunk=2))
def ragged_chunk_moved(backend: Backend) -> Backend:
    """The last chunk is filled up with candidates before it, and the first of its results are taken."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        begin = max(0, min(start, arguments[2].size - arguments[4].chunk))
        return rows(backend, arguments, range(begin, begin + stop - start))

    return in_chunks(backend, part)


@FEW.wrapper("score_population", scores(size=5, chunk=2))
def keys_of_the_first_chunk(backend: Backend) -> Backend:
    """Each chunk begins again with the first candidate's mask key, where masks are drawn."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        return rows(backend, arguments, range(stop - start) if arguments[2].masks is None else range(start, stop))

    return in_chunks(backend, part)


@FEW.wrapper("score_population", scores(size=5, chunk=2, candidates="masks"))
def masks_of_the_first_chunk(backend: Backend) -> Backend:
    """Each chunk begins again with the first of the masks, where they are handed in."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        return rows(backend, arguments, range(start, stop) if arguments[2].masks is None else range(stop - start))

    return in_chunks(backend, part)


@FEW.wrapper("score_population", scores(size=5, chunk=2, candidates="own"))
def weights_of_the_first_chunk(backend: Backend) -> Backend:
    """Each chunk begins again with the first candidate's weight key; the masks are right."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        own = population.weight_keys
        again = own if own is None else own[np.arange(len(own)) % scoring.chunk]
        return net, params, population._replace(weight_keys=again), batch, scoring

    return with_arguments(backend, "score_population", change)


@FEW.wrapper("score_population", scores(size=5, chunk=1))
def chunk_of_one_is_broadcast(backend: Backend) -> Backend:
    """A chunk of one candidate loses its axis, and the first one's fitness is that of all."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        return rows(backend, arguments, range(start, stop) if arguments[4].chunk > 1 else [0])

    return in_chunks(backend, part)


@FEW.wrapper("score_population", scores(size=4, chunk=2))
def chunks_in_reverse(backend: Backend) -> Backend:
    """The results of the chunks are put together last one first."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        size = arguments[2].size
        return rows(backend, arguments, range(size - stop, size - start))

    return in_chunks(backend, part)


@FEW.wrapper("score_population", scores(size=3, chunk=8))
def chunk_larger_than_the_population(backend: Backend) -> Backend:
    """A chunk is as large as was allowed, and what fills it up is not cut off."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        found = rows(backend, arguments, range(start, stop))
        return np.pad(found, (0, max(0, arguments[4].chunk - arguments[2].size)))

    return in_chunks(backend, part)


@FEW.wrapper("score_population", scores(size=6, chunk=4))
def centred_in_each_chunk(backend: Backend) -> Backend:
    """Of a chunk's fitness its mean is taken off: the order within a chunk stays, and that between chunks does not."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        found = rows(backend, arguments, range(start, stop))
        return found if stop - start == arguments[2].size else found - found.mean()

    return in_chunks(backend, part)


@FEW.wrapper("score_population", scores(size=5, chunk=2, norm="recalibrated"))
def calibrated_once_a_chunk(backend: Backend) -> Backend:
    """The candidates of a chunk take the statistics that its first one saw on the inputs for calibration."""

    def part(backend: Backend, arguments: Any, start: int, stop: int) -> np.ndarray:
        found = rows(backend, arguments, range(start, stop))
        return found if arguments[3].calibration is None else np.repeat(found[:1], len(found))

    return in_chunks(backend, part)
