"""Checks of what is drawn: random words and masks, which must be equal to the bit, and initial weights."""

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weedout_core._contract import calls as contract
from weedout_core._contract.record import Backend
from weedout_core._masks.plan import MaskPlan, SitePlan, mask_plan
from weedout_core._networks.initial import he_normal
from weedout_core._random.keys import path_code
from weedout_core._random.stream import fold_in, split
from weedout_core.testing.examples import keys, last_node_kept, plans, spaces, sparsities, tied_words
from weedout_core.testing.problems import networks
from weedout_core.testing.tolerances import bound

_PROTOCOLS = {
    "random_bits": contract.RandomBits,
    "keep_smallest": contract.KeepSmallest,
    "masks_from_keys": contract.MasksFromKeys,
    "draw_parameters": contract.DrawParameters,
    "score_population": contract.ScorePopulation,
    "predict": contract.Predict,
    "train_init": contract.TrainInit,
    "train_epoch": contract.TrainEpoch,
}


#: Compilation is slow, and drawing a network takes many choices. Neither is a fault that Hypothesis should report.
_ALLOWED = [HealthCheck.too_slow, HealthCheck.data_too_large]


def light(test: Callable[..., None], share: int = 1) -> Callable[..., None]:
    """Run a property on the profile's number of examples divided by ``share``, but on at least 4 examples."""
    examples = max(4, settings().max_examples // share)
    return settings(max_examples=examples, deadline=None, suppress_health_check=_ALLOWED)(test)


def half(test: Callable[..., None]) -> Callable[..., None]:
    """Run a property that compiles a small program for each example, on half of the profile's number of examples."""
    return light(test, share=2)


def heavy(test: Callable[..., None]) -> Callable[..., None]:
    """Run a property that compiles for each example, on a fifth of the profile's number of examples."""
    return light(test, share=5)


def across(*arguments: Sequence[st.SearchStrategy[Any]]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Run a heavy property on every combination of strategies: each argument lists those for one parameter.

    The examples are divided evenly among the combinations, with at least one for each, so that it does not depend on
    chance which combinations are tried.
    """

    def decorate(test: Callable[..., None]) -> Callable[[], None]:
        cases = list(itertools.product(*arguments))
        examples = max(1, settings().max_examples // 5 // max(1, len(cases)))

        def run() -> None:
            for case in cases:
                settings(max_examples=examples, deadline=None, suppress_health_check=_ALLOWED)(given(*case)(test))()

        return run

    return decorate


def each(*values: Any) -> list[st.SearchStrategy[Any]]:
    """Strategies for :func:`across`: one for each value, which always draws it."""
    return [st.just(value) for value in values]


def equal(name: str, got: Any, wanted: Any) -> None:
    """Assert that two arrays are equal in dtype, shape and every element."""
    assert got.dtype == wanted.dtype, f"{name}: dtype {got.dtype}, the reference has {wanted.dtype}"
    assert got.shape == wanted.shape, f"{name}: shape {got.shape}, the reference has {wanted.shape}"
    differ = np.argwhere(np.atleast_1d(got != wanted))
    assert not len(differ), f"{name}: {len(differ)} of {got.size} elements differ, the first at {differ[0].tolist()}"


def signatures(backend: Backend, reference: Backend) -> None:
    """The functions take the contract's arguments, by name and in order."""
    del reference
    for name, protocol in _PROTOCOLS.items():
        wanted = list(inspect.signature(protocol.__call__).parameters)[1:]
        got = list(inspect.signature(getattr(backend, name)).parameters)
        assert got == wanted, f"{name} takes {got}; the contract has {wanted}"


def random_bits(backend: Backend, reference: Backend) -> None:
    """Random words are equal, and a word does not depend on how many are drawn with it."""

    @light
    @given(keys(), st.integers(1, 3000))
    def agree(key: np.ndarray, n: int) -> None:
        words = backend.to_numpy(backend.random_bits(key, n))
        equal("random_bits", words, reference.to_numpy(reference.random_bits(key, n)))
        equal("random_bits of fewer", backend.to_numpy(backend.random_bits(key, (n + 1) // 2)), words[: (n + 1) // 2])

    agree()


def keep_smallest(backend: Backend, reference: Backend) -> None:
    """The same nodes are kept, ties going to the lowest index."""

    @light
    @given(tied_words())
    def agree(case: tuple[np.ndarray, int]) -> None:
        words, k = case
        kept = backend.to_numpy(backend.keep_smallest(words, k))
        equal(f"keep_smallest(k={k})", kept, reference.to_numpy(reference.keep_smallest(words, k)))

    agree()

    @heavy
    @given(keys(), st.sampled_from([1, 2, 37, 500]))
    def takes_own_words(key: np.ndarray, n: int) -> None:
        kept = backend.to_numpy(backend.keep_smallest(backend.random_bits(key, n), (n + 1) // 2))
        wanted = reference.keep_smallest(reference.random_bits(key, n), (n + 1) // 2)
        equal("keep_smallest of random_bits", kept, reference.to_numpy(wanted))

    takes_own_words()


def masks_from_keys(backend: Backend, reference: Backend) -> None:
    """Masks are equal for any space, sparsity, sampling, count and key."""

    @half
    @given(keys(), plans(), st.sampled_from([1, 4]))
    def agree(key: np.ndarray, plan: Any, count: int) -> None:
        drawn = backend.masks_from_keys(split(key, count), plan)
        wanted = reference.masks_from_keys(split(key, count), plan)
        assert set(drawn) == {site.site for site in plan.sites}, f"sites {sorted(drawn)}"
        for site in drawn:
            equal(f"mask of {site!r}", backend.to_numpy(drawn[site]), reference.to_numpy(wanted[site]))

    agree()


def bernoulli_thresholds(backend: Backend, reference: Backend) -> None:
    """A word equal to the threshold keeps its node, and a word one above it does not.

    The thresholds are chosen next to drawn words. A random word is next to a given threshold once in billions of draws,
    so that a rounded threshold would otherwise not be noticed.
    """

    @heavy
    @given(keys(), st.sampled_from([1, 7, 64]), st.data())
    def agree(key: np.ndarray, nodes: int, data: Any) -> None:
        candidates = split(key, 1)
        words = reference.to_numpy(reference.random_bits(fold_in(candidates[0], path_code("a")), nodes))
        word = int(words[data.draw(st.integers(0, nodes - 1))])
        for threshold in (word, max(word - 1, 0)):
            plan = MaskPlan((SitePlan("a", (nodes,), path_code("a"), 1, threshold),))
            got = backend.to_numpy(backend.masks_from_keys(candidates, plan)["a"])
            equal(
                f"mask for the bound {threshold}",
                got,
                reference.to_numpy(reference.masks_from_keys(candidates, plan)["a"]),
            )

    agree()


def masks_match_counts(backend: Backend, reference: Backend) -> None:
    """Exact masks keep exactly the planned count, and at least one node."""
    del reference

    @heavy
    @given(keys(), plans(), st.sampled_from([1, 4]))
    def holds(key: np.ndarray, plan: Any, count: int) -> None:
        masks = backend.masks_from_keys(split(key, count), plan)
        for site in plan.sites:
            kept = backend.to_numpy(masks[site.site]).reshape(count, -1).sum(axis=1)
            assert (kept >= 1).all(), f"{site}: a candidate keeps no node"
            assert site.bound is not None or (kept == site.kept).all(), f"{site}: kept {kept.tolist()}"

    holds()


def sample_masks(backend: Backend, reference: Backend) -> None:
    """Candidate i of a sample is drawn from ``fold_in(key, i)``, whatever the count."""

    @heavy
    @given(keys(), spaces(), sparsities(), st.sampled_from([2, 4]))
    def agree(key: np.ndarray, space: dict[str, tuple[int, ...]], sparsity: float, count: int) -> None:
        with last_node_kept():
            drawn = backend.sample_masks(key, space, sparsity=sparsity, count=count)
            alone = reference.masks_from_keys(split(key, count)[-1:], mask_plan(space, sparsity))
        for site in space:
            equal(f"mask of {site!r}", backend.to_numpy(drawn[site])[-1:], reference.to_numpy(alone[site]))

    agree()


def draw_parameters(backend: Backend, reference: Backend) -> None:
    """Initial weights agree within the error of erfinv; biases are zero."""

    @across([keys()], each(*networks(backend)), each("fan_in", "fan_out"))
    def agree(key: np.ndarray, net: Any, fan: Any) -> None:
        specs = he_normal(net, fan)
        drawn, wanted = backend.draw_parameters(key, specs), reference.draw_parameters(key, specs)
        assert set(drawn) == {spec.path for spec in specs}, f"paths {sorted(drawn)}"
        off = bound("draw_parameters")({path: reference.to_numpy(value) for path, value in wanted.items()})
        for spec in specs:
            got, true = backend.to_numpy(drawn[spec.path]), reference.to_numpy(wanted[spec.path])
            assert got.shape == spec.shape, f"{spec.path}: shape {got.shape}"
            too_far = np.argwhere(~(np.abs(got - true) <= off[spec.path]))  # a NaN is too far
            assert not len(too_far), f"{spec.path}: {len(too_far)} of {got.size} weights differ by more than the bound"

    agree()
