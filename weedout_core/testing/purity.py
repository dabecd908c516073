"""The check that the functions of a backend are pure: their answers depend on their arguments, all of them, alone."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from weedout_core._algorithm.population import Population
from weedout_core._algorithm.schedule import epoch_batches, train_plan
from weedout_core._contract.calls import ScoredBatch, Scoring
from weedout_core._contract.record import Backend
from weedout_core._contract.trees import map_tree
from weedout_core._networks.initial import he_normal
from weedout_core._random.stream import fold_in, split
from weedout_core.testing.comparing import equal
from weedout_core.testing.courses import PLAINEST
from weedout_core.testing.networks import masked, networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across
from weedout_core.testing.trying import some


class Call(NamedTuple):
    """A call of the contract.

    Attributes:
        name: of the function.
        arguments: what it is given, in the contract's order.
        others: other values for one argument at a time: (argument, value).
    """

    name: str
    arguments: dict[str, Any]
    others: tuple[tuple[str, Any], ...]


def pure(backend: Backend, reference: Backend) -> None:
    """A call changes no argument, reads each, and gives the same bits again, whatever was called in between."""
    nets = some(masked(networks(backend)))

    @across([problem(net) for net in (nets[0], *nets[2:4])], once=True)
    def holds(one: Problem) -> None:
        for call, same in zip(calls(backend, one), calls(reference, one), strict=True):
            if getattr(backend, call.name) is not None:
                _pure(backend, reference, call, same)

    holds()


def _pure(backend: Backend, reference: Backend, call: Call, same: Call) -> None:
    function, right = (partial(_called, getattr(by, call.name)) for by in (backend, reference))
    before, writeable = list(_arrays(backend, call.arguments)), _writeable(call.arguments)
    answer = function(call.arguments)
    first, wanted = list(_arrays(backend, answer)), list(_arrays(reference, right(same.arguments)))
    for (argument, value), (_, its) in zip(call.others, same.others, strict=True):
        other = list(_arrays(backend, function(call.arguments | {argument: value})))
        matters = not _alike(wanted, list(_arrays(reference, right(same.arguments | {argument: its}))))
        assert not (matters and _alike(first, other)), f"{call.name} gives the same for another {argument}"
        _refilled(backend, call, argument, value, other)
    for got, one in zip(_arrays(backend, answer), first, strict=True):
        equal(f"an answer of {call.name}, after other calls,", got, one)
    for got, one in zip(_arrays(backend, function(call.arguments)), first, strict=True):
        equal(f"the same call of {call.name}", got, one)
    for got, one in zip(_arrays(backend, function(_in_steps(call.arguments))), first, strict=True):
        equal(f"the same call of {call.name} with integers that lie apart in memory", got, one)
    for now, then in zip(_arrays(backend, call.arguments), before, strict=True):
        equal(f"an argument of {call.name}", now, then)
    assert _writeable(call.arguments) == writeable, f"{call.name} changes who may write to its arguments"


def _writeable(tree: Any) -> list[bool]:
    """Which of NumPy's arrays in a tree can be written to."""
    return [leaf.flags.writeable for leaf in _leaves(tree) if isinstance(leaf, np.ndarray)]


def _in_steps(tree: Any) -> Any:
    """The same tree, NumPy's integers in it as views of every second number of an array: their sums have no order."""
    if isinstance(tree, Mapping):
        return {path: _in_steps(value) for path, value in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [_in_steps(part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if isinstance(tree, np.ndarray) and tree.dtype.kind in "iub" and tree.ndim:
        return np.repeat(tree, 2, axis=-1)[..., ::2]
    return tree


def _called(function: Any, arguments: dict[str, Any]) -> Any:
    """By place, as the contract has them."""
    return function(*arguments.values())


def _refilled(backend: Backend, call: Call, argument: str, value: Any, wanted: list[np.ndarray]) -> None:
    """Write another value over an argument, where a framework's arrays can be written to, and call again."""
    places, news = list(_leaves(call.arguments[argument])), list(_leaves(value))
    olds = [np.array(backend.to_numpy(place)) for place in places]
    if not places or _scalars(call.arguments[argument]) != _scalars(value) or not all(map(_written, places, news)):
        return
    try:
        got = list(_arrays(backend, _called(getattr(backend, call.name), call.arguments)))
    finally:
        for place, old in zip(places, olds, strict=True):
            _written(place, old if isinstance(place, np.ndarray) else backend.asarray(old))
    for one, other in zip(got, wanted, strict=True):
        equal(f"{call.name} after another {argument} was written over the first", one, other)


def _written(place: Any, value: Any) -> bool:
    """Whether a value could be written over an array: JAX's and read-only ones stay as they are."""
    try:
        place[...] = value
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


def _leaves(tree: Any) -> Iterator[Any]:
    """The arrays in mappings, tuples and lists."""
    if isinstance(tree, Mapping):
        for path in sorted(tree):
            yield from _leaves(tree[path])
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from _leaves(part)
    elif hasattr(tree, "shape") and hasattr(tree, "dtype"):
        yield tree


def _scalars(tree: Any) -> list[Any]:
    """What is not an array."""
    if isinstance(tree, tuple | list) and not isinstance(tree, str):
        return [scalar for part in tree for scalar in _scalars(part)]
    return [] if isinstance(tree, Mapping) or hasattr(tree, "shape") else [tree]


def _arrays(backend: Backend, tree: Any) -> Iterator[np.ndarray]:
    """Copies of the arrays in a tree."""
    for leaf in _leaves(tree):
        yield np.array(leaf if isinstance(leaf, np.ndarray) else backend.to_numpy(leaf))


def _alike(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def calls(by: Backend, one: Problem) -> Iterator[Call]:
    """A call of each function, with other values for each of its arguments that hold numbers."""
    key, other = one.keys[0], one.keys[1]
    words, reversed_words = (np.array(value, np.uint32) for value in (np.arange(40) * 7 % 40, np.arange(40)))
    yield Call("random_bits", {"key": key, "n": 40}, (("key", other), ("key", fold_in(key, 3))))
    for place in (by.asarray, np.array):
        yield Call("keep_smallest", {"bits": place(words), "k": 11}, (("bits", place(reversed_words)),))
    yield Call("masks_from_keys", {"keys": one.keys, "plan": one.plan}, (("keys", one.keys[::-1].copy()),))
    specs = he_normal(one.net)
    doubled = tuple(replace(spec, std=2 * spec.std) for spec in specs)
    yield Call("draw_parameters", {"key": key, "specs": specs}, (("key", other), ("specs", doubled)))
    yield from _scorings(by, one)
    yield _prediction(by, one)
    yield _sensitivity(by, one)
    yield _epoch(by, one)


def _batch(by: Backend, x: np.ndarray, y: np.ndarray) -> ScoredBatch:
    return ScoredBatch(by.asarray(x), by.asarray(y))


def _scorings(by: Backend, one: Problem) -> Iterator[Call]:
    params, larger = (map_tree(by.asarray, tree) for tree in (one.params, _larger(one.params)))
    scoring = Scoring("negative_cross_entropy", "highest", 4)
    drawn = Population(len(one.keys), one.plan, one.keys, None, None)
    given = Population(len(one.keys), None, None, None, map_tree(by.asarray, one.masks))
    for population, another in (
        (drawn, drawn._replace(mask_keys=one.keys[::-1].copy())),
        (given, given._replace(masks=map_tree(by.asarray, {site: mask[::-1] for site, mask in one.masks.items()}))),
    ):
        batch = _batch(by, one.x, one.y)
        arguments = {"net": one.net, "params": params, "population": population, "batch": batch, "scoring": scoring}
        others = ("params", larger), ("population", another), ("batch", _batch(by, one.x[::-1] * 2, one.y))
        yield Call("score_population", arguments, (*others, ("batch", _batch(by, one.x, one.y[::-1].copy()))))


def _larger(tree: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {path: (np.float32(1.5) * value + np.float32(0.1)) for path, value in tree.items()}


def _two(by: Backend, tree: Mapping[str, np.ndarray], turned: bool = False) -> dict[str, Any]:
    """A tree of two networks: the given numbers and others."""
    both = {path: np.stack([value, _larger({path: value})[path]]) for path, value in tree.items()}
    return {path: by.asarray(value[::-1] if turned else value) for path, value in both.items()}


def _masks(by: Backend, one: Problem, first: int) -> dict[str, Any]:
    return {site: by.asarray(mask[first : first + 2]) for site, mask in one.masks.items()}


def _prediction(by: Backend, one: Problem) -> Call:
    arguments = {
        "net": one.net, "params": _two(by, one.params), "statistics": _two(by, one.statistics),
        "masks": _masks(by, one, 0), "x": by.asarray(one.x),
    }  # fmt: skip
    others = (
        ("params", _two(by, one.params, turned=True)), ("statistics", _two(by, one.statistics, turned=True)),
        ("masks", _masks(by, one, 2)), ("x", by.asarray(one.x[::-1])),
    )  # fmt: skip
    return Call("predict", arguments, others)


def _sensitivity(by: Backend, one: Problem) -> Call:
    trees = {"params": one.params, "statistics": one.statistics, "masks": one.one(0)}
    placed = {name: map_tree(by.asarray, tree) for name, tree in trees.items()}
    arguments = {"net": one.net, **placed, "x": by.asarray(one.x), "y": by.asarray(one.y)}
    others = (
        ("params", map_tree(by.asarray, _larger(one.params))),
        ("statistics", map_tree(by.asarray, _larger(one.statistics))),
        ("masks", map_tree(by.asarray, one.one(1))),
        ("x", by.asarray(one.x[::-1])),
        ("y", by.asarray(one.y[::-1])),
    )
    return Call("mask_gradient", arguments, others)


def _epoch(by: Backend, one: Problem) -> Call:
    plan, keys = train_plan(PLAINEST, len(one.y)), split(one.keys[0], 2)
    state = by.train_init(one.net, plan, keys, _two(by, one.params), _two(by, one.statistics))
    state = state._replace(epoch=1, optimizer=_two(by, one.params))
    arguments = {
        "net": one.net, "plan": plan, "state": state, "masks": _masks(by, one, 0), "x": by.asarray(one.x),
        "y": by.asarray(one.y), "batches": epoch_batches(list(keys), 1, plan),
    }  # fmt: skip
    others = (
        ("state", state._replace(params=_two(by, one.params, turned=True))),
        ("state", state._replace(statistics=_two(by, one.statistics, turned=True))),
        ("state", state._replace(optimizer=_two(by, one.params, turned=True))),
        ("masks", _masks(by, one, 2)),
        ("x", by.asarray(one.x[::-1])),
        ("y", by.asarray(one.y[::-1])),
        ("batches", epoch_batches(list(keys), 2, plan)),
    )
    return Call("train_epoch", arguments, others)
