"""Purity: mutants that write to their arguments."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_result
from tests.mutants.body import PURITY
from tests.mutants.witnesses import (
    CHOSEN,
    FLAT,
    IMAGES,
    first,
    given,
)
from weedout_core import Network, TrainConfig, mask_plan, mask_space
from weedout_core.backend import Backend, Population, ScoredBatch, Scoring, epoch_batches, map_tree, train_plan
from weedout_core.nn import Dense, Mask, Relu
from weedout_core.random import key, split

_RELU_FIRST = Network((Relu(), Dense("one", 4), Mask("one"), Dense("out", 3)), (3,))
_MASK_FIRST = Network((Mask("x"), Dense("out", 3)), (4,))


def _arguments(backend: Backend, net: Network, networks: int = 2, examples: int = 8) -> Any:
    made = given(net, networks, examples)
    trees = [map_tree(backend.asarray, tree) for tree in (made.params, made.statistics, made.masks)]
    return *trees, backend.asarray(made.x), backend.asarray(made.y)


def _epoch(net: Network, **config: Any) -> Callable[[Backend], Any]:
    """A witness: what an epoch leaves of its arguments, and the same epoch once more."""

    def answers(backend: Backend) -> Any:
        params, statistics, masks, x, y = _arguments(backend, net)
        plan = train_plan(TrainConfig(epochs=2, **CHOSEN | config), 8)
        keys = split(key(3), 2)
        state = backend.train_init(net, plan, keys, params, statistics)
        batches = epoch_batches(list(keys), 0, plan)
        results = [backend.train_epoch(net, plan, state, masks, x, y, batches) for _ in range(2)]
        return [results, state, params, statistics, masks, x, y, batches.order]

    return answers


def scored(net: Network = FLAT) -> Callable[[Backend], Any]:
    """A witness: two scores of one population, one after the inputs were written over, and the arguments after them."""

    def answers(backend: Backend) -> Any:
        params, _, _, x, y = _arguments(backend, net, 3)
        plan = mask_plan(mask_space(net), 0.5)
        population = Population(3, plan, split(key(1), 3), None, None)
        weights = {path: backend.asarray(backend.to_numpy(value)[0]) for path, value in params.items()}

        def score() -> Any:
            return backend.score_population(
                net, weights, population, ScoredBatch(x, y), Scoring("negative_cross_entropy", "highest", 2)
            )

        one = score()
        shown = [np.array(backend.to_numpy(one)), weights, x]
        shown = [{path: np.array(value) for path, value in weights.items()}, *shown]
        if isinstance(x, np.ndarray):
            x[:] *= 2
        return [*shown, score(), one]

    return answers


def predicted(net: Network = FLAT) -> Callable[[Backend], Any]:
    """A witness: logits, those of other weights and inputs in the same memory, the first ones again, the arguments."""

    def answers(backend: Backend) -> Any:
        params, statistics, masks, x, _ = _arguments(backend, net)
        one = backend.predict(net, params, statistics, masks, x)
        before = np.array(backend.to_numpy(one))
        if isinstance(x, np.ndarray):
            x[:] *= 2
        two = backend.predict(net, params, statistics, masks, x)
        other = backend.predict(net, map_tree(lambda value: value * 2, params), statistics, masks, x)
        return [before, two, other, one, x, params, masks]

    return answers


def in_place(backend: Backend, write: Callable[..., None]) -> Backend:
    """A backend that writes to its memory after an epoch: ``write(before, after)``, where it may be written to."""

    def change(result: Any, net: Any, plan: Any, state: Any, *_: Any) -> Any:
        write(state, result[0])
        return result

    return with_result(backend, "train_epoch", change)


def _write(old: Any, new: Any) -> None:
    for path, value in old.items():
        if value.flags.writeable:
            value[...] = new[path]


@PURITY.wrapper("train_epoch", _epoch(FLAT))
def weights_updated_in_place(backend: Backend) -> Backend:
    """An epoch writes the new weights over those of the state that it was given."""
    return in_place(backend, lambda before, after: _write(before.params, after.params))


@PURITY.wrapper("train_epoch", _epoch(FLAT, momentum=0.9))
def velocities_updated_in_place(backend: Backend) -> Backend:
    """An epoch writes the new velocities over those of the state that it was given."""
    return in_place(backend, lambda before, after: _write(before.optimizer, after.optimizer))


@PURITY.wrapper("train_epoch", _epoch(IMAGES))
def statistics_updated_in_place(backend: Backend) -> Backend:
    """An epoch writes the new running statistics over those of the state that it was given."""
    return in_place(backend, lambda before, after: _write(before.statistics, after.statistics))


@PURITY.wrapper("train_epoch", _epoch(FLAT))
def inputs_centred_in_place(backend: Backend) -> Backend:
    """An epoch takes the mean off its inputs, computes with what was there, and leaves the array so."""

    def change(result: Any, net: Any, plan: Any, state: Any, masks: Any, x: Any, *_: Any) -> Any:
        if x.flags.writeable:
            x -= x.mean()
        return result

    return with_result(backend, "train_epoch", change)


@PURITY.wrapper("train_epoch", _epoch(FLAT))
def labels_sorted_in_place(backend: Backend) -> Backend:
    """An epoch leaves the labels sorted."""

    def change(result: Any, net: Any, plan: Any, state: Any, masks: Any, x: Any, y: Any, *_: Any) -> Any:
        if y.flags.writeable:
            y.sort()
        return result

    return with_result(backend, "train_epoch", change)


@PURITY.wrapper("train_epoch", _epoch(FLAT))
def masks_filled_in_place(backend: Backend) -> Backend:
    """An epoch leaves masks that keep every node."""

    def change(result: Any, net: Any, plan: Any, state: Any, masks: Any, *_: Any) -> Any:
        for mask in (masks or {}).values():
            if mask.flags.writeable:
                mask[...] = True
        return result

    return with_result(backend, "train_epoch", change)


edit = PURITY.edits("predict", "network")
_Y = "                y = x if masks is None else nn.apply_mask(x, masks[site], rescale)"
edit(
    "relu_writes_to_the_inputs",
    "a ReLU that comes first writes to the inputs",
    predicted(_RELU_FIRST),
    ("y = nn.relu(x)", "y = np.maximum(x, 0.0, out=x) if x.flags.writeable else nn.relu(x)"),
)
edit(
    "mask_writes_to_the_inputs",
    "a mask that comes first writes to the inputs",
    predicted(_MASK_FIRST),
    (_Y, f"{_Y}\n                if x.flags.writeable and not record:\n                    x[...] = y"),
)
edit = PURITY.edits("score_population", "scoring")
edit(
    "weights_masked_in_place",
    "scoring removes the weights of the nodes that the last candidate loses, for good",
    scored(),
    (
        "    return fitness\n\n\ndef score(",
        "    for site, mask in candidate_masks(population, population.size - 1).items():\n"
        "        weight = params.get(f'{site}/kernel') if isinstance(params, Mapping) else None\n"
        "        if weight is not None and weight.flags.writeable and weight.shape[-1:] == mask.shape:\n"
        "            weight *= mask\n"
        "    return fitness\n\n\ndef score(",
    ),
)
edit(
    "inputs_clipped_in_place",
    "scoring leaves its inputs cut to [-1, 1]",
    scored(),
    (
        "    return fitness\n\n\ndef score(",
        "    if batch.x.flags.writeable:\n        batch.x.clip(-1, 1, out=batch.x)\n    return fitness\n\n\ndef score(",
    ),
)
edit = PURITY.edits("keep_smallest", "masks")


def _kept(backend: Backend) -> Any:
    bits = backend.asarray(np.array([3, 2, 9, 1], np.uint32))
    return [backend.keep_smallest(bits, 2), bits]


edit(
    "words_sorted_in_place",
    "the words are left sorted",
    _kept,
    (
        "    return kept\n\n\ndef draw_mask(",
        "    if bits.flags.writeable:\n        bits.sort()\n    return kept\n\n\ndef draw_mask(",
    ),
)
edit = PURITY.edits("mask_gradient", "sensitivity")


def _gradients(backend: Backend) -> Any:
    assert backend.mask_gradient is not None
    made = given(FLAT, 1, 5)
    params, masks = first(backend, made.params), first(backend, made.masks)
    x, y = backend.asarray(made.x), backend.asarray(made.y)
    return [backend.mask_gradient(FLAT, params, {}, masks, x, y), masks]


edit(
    "masks_opened_in_place",
    "to have the gradient of removed nodes too, the masks are left open",
    _gradients,
    (
        "    return gradients\n",
        "    for mask in masks.values():\n        if mask.flags.writeable:\n            mask[...] = True\n"
        "    return gradients\n",
    ),
)
