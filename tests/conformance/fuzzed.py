"""What the fuzz test calls, and what it hands in: a call that works, in which one value is another.

``calls(backend)`` has one call that works for every public function of the library and every method of a backend.
``spoilt`` puts another value in the place of some part of its arguments: an argument, an item of a sequence or of a
mapping, a field of a record.
"""

import itertools
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from warnings import catch_warnings, simplefilter

import numpy as np

import weedout_core as wc

NET = wc.mlp(4, (6,), 3)
WEIGHTS = wc.vgg(2, 3, (4, 4, 2), "connection")
IMAGES = wc.vgg(2, 3, (4, 4, 2), "channel")
X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
Y = np.arange(12, dtype=np.int32) % 3
KEY = wc.key(5)
SPACE = wc.mask_space(NET)
PLAN = wc.mask_plan(SPACE, 0.5)
SEARCH = wc.SearchConfig(population=3, generations=2, validation_batch=8)
TRAIN = wc.TrainConfig(epochs=2, batch_size=6)
FIXED = wc.backend.train_plan(TRAIN, len(Y))


class Call(NamedTuple):
    """A call that works: a function, and its arguments by name."""

    function: Callable[..., Any]
    given: dict[str, Any]


#: What an adopted model is to the core.
ADOPTED = wc.backend.Adopted(
    "Model", ("numpy",), 3, (wc.backend.Place("h", (2,), "a → relu", "b"),),
    (wc.backend.Held("a", (2, 4), 8, -2, (wc.backend.Follows(-2, "h"),)),), (), "digest",
)  # fmt: skip


class _Model:
    """A model that gives zeros."""

    params: Mapping[str, np.ndarray] = {"a": np.zeros((2, 4), np.float32)}
    statistics: Mapping[str, np.ndarray] = {}

    def gradient(self, params: Any, statistics: Any, masks: Any, x: Any) -> Any:
        return {path: np.ones_like(value) for path, value in params.items()}

    def rebuild(self, layer: Any, params: Any, statistics: Any, mask: Any) -> Any:
        return self


def _adopted(*given: Any, **named: Any) -> wc.Network:
    """A module of PyTorch, adopted by this library's own check of the arguments alone."""

    def adopt(model: Any, input_shape: Any, sites: Any, names: Any, granularity: Any) -> wc.backend.Adopted:
        return replace(ADOPTED, model=_Model())

    def predict(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> Any:
        return np.zeros((1, len(x), net.classes), np.float32)

    backend = replace(wc.load_backend("numpy"), adopt=adopt, predict=predict)
    return wc.adopt(object(), *given, backend=backend, **named)


def library(backend: wc.backend.Backend) -> dict[str, Call]:
    """Every public function, by "face.name"."""
    masks = {site: mask[0] for site, mask in wc.backend.masks_from_keys(KEY[None], PLAN).items()}
    params = {path: backend.to_numpy(value) for path, value in backend.initialise(NET, KEY).items()}
    keys = wc.random.split(KEY, 2)
    bred = {site: mask.reshape(2, -1) for site, mask in wc.backend.masks_from_keys(keys, PLAN).items()}
    network = wc.Subnetwork(NET, params, masks)
    state = wc.ask_tell.init(KEY, SPACE, 0.5, SEARCH)
    after, _ = wc.ask_tell.tell(state, np.arange(3.0))
    searched = wc.search(NET, (X, Y), sparsity=0.5, backend=backend, key=KEY, config=SEARCH)
    trained = wc.train(network, (X, Y), backend=backend, key=KEY, config=TRAIN, test=(X, Y))
    words, logits = wc.random.bits(KEY, 5), np.random.default_rng(1).normal(size=(2, 12, 3))
    small = wc.compact(NET, {"hidden_0": 3})
    learned = {path: np.ones((2, 2)) for path in ("a/kernel", "a/bias")}
    on_split = {"data": (X, Y), "backend": backend}
    return {
        "wc.adopt": Call(
            lambda input_shape, sites, names, granularity: _adopted(
                input_shape, sites=sites, names=names, granularity=granularity
            ),
            {"input_shape": (4,), "sites": ["1"], "names": {"1": "h"}, "granularity": "channel"},
        ),
        "wc.backend_names": Call(wc.backend_names, {}),
        "wc.candidate": Call(wc.candidate, {"net": NET, "mask": masks, "params": params, "statistics": None}),
        "wc.choices": Call(lambda first, second: wc.choices(first, second), {"first": SEARCH, "second": TRAIN}),
        "wc.compact": Call(wc.compact, {"net": NET, "kept": {"hidden_0": 3}}),
        "wc.costs": Call(wc.costs, {"net": NET, "masks": masks}),
        "wc.draw_control": Call(
            wc.draw_control,
            {"net": NET, "sparsity": 0.5, "backend": backend, "key": KEY, "config": SEARCH, "control": "member"},
        ),
        "wc.erk": Call(wc.erk, {"net": NET}),
        "wc.evaluate": Call(wc.evaluate, {"network": network, **on_split}),
        "wc.evaluate_together": Call(wc.evaluate_together, {"networks": [network, network], **on_split}),
        "wc.key": Call(wc.key, {"seed": 3}),
        "wc.load_backend": Call(wc.load_backend, {"backend": "numpy", "device": "cpu", "devices": 1}),
        "wc.mask_plan": Call(wc.mask_plan, {"space": SPACE, "sparsity": {"hidden_0": 0.5}, "sampling": "bernoulli",
                                            "allocation": "uniform"}),
        "wc.mask_space": Call(wc.mask_space, {"net": NET}),
        "wc.masks_from_scores": Call(
            wc.masks_from_scores, {"scores": {"hidden_0": np.arange(6.0)}, "plan": PLAN, "key": KEY}
        ),
        "scores.near_threshold": Call(
            wc.scores.near_threshold, {"scores": {"hidden_0": np.arange(6.0)}, "plan": PLAN, "bound": 0.5}
        ),
        "wc.mlp": Call(wc.mlp, {"inputs": (4,), "hidden": (6,), "classes": 3, "rescale": True, "granularity": "node"}),
        "wc.search": Call(
            wc.search,
            {"net": NET, **on_split, "sparsity": 0.5, "key": KEY, "config": SEARCH, "on_generation": do_nothing,
             "scored": searched.history[:1]},
        ),
        "wc.smart_ratio": Call(wc.smart_ratio, {"net": WEIGHTS}),
        "wc.train": Call(
            wc.train,
            {"network": network, **on_split, "key": KEY, "config": TRAIN, "test": (X, Y), "optimizer": None,
             "on_epoch": do_nothing, "resume": trained},
        ),
        "wc.train_together": Call(
            wc.train_together,
            {"networks": [network], **on_split, "keys": [KEY], "config": TRAIN, "test": (X, Y), "optimizer": None,
             "on_epoch": do_nothing, "resume": [trained], "checkpoint": do_nothing},
        ),
        "wc.vgg": Call(
            wc.vgg,
            {"width": 2, "classes": 3, "input_shape": (4, 4, 2), "granularity": "channel", "rescale": False,
             "hidden": (3,)},
        ),
        "wc.wide_resnet": Call(
            wc.wide_resnet,
            {"depth": 10, "width": 1, "classes": 3, "input_shape": (8, 8, 3), "granularity": "node", "rescale": False,
             "mask_residual": True, "hidden": (3,)},
        ),
        "nn.with_connections": Call(wc.nn.with_connections, {"net": NET, "weights": ("dense_0/*",)}),
        "nn.activation_shapes": Call(wc.nn.activation_shapes, {"net": NET}),
        "nn.every_layer": Call(lambda layers: list(wc.nn.every_layer(layers)), {"layers": NET.layers}),
        "nn.he_normal": Call(wc.nn.he_normal, {"net": NET, "fan": "fan_in", "kept": {"hidden_0": 3}}),
        "nn.initial_statistics": Call(wc.nn.initial_statistics, {"net": IMAGES}),
        "nn.mask_space": Call(wc.nn.mask_space, {"net": NET}),
        "nn.network_from_json": Call(wc.nn.network_from_json, {"text": wc.nn.network_to_json(NET)}),
        "nn.network_to_json": Call(wc.nn.network_to_json, {"net": NET}),
        "nn.parameter_shapes": Call(wc.nn.parameter_shapes, {"net": NET}),
        "random.bits": Call(wc.random.bits, {"key": KEY, "n": 3}),
        "random.bits_at": Call(wc.random.bits_at, {"key": KEY, "counters": words}),
        "random.fold_in": Call(wc.random.fold_in, {"key": KEY, "data": 3}),
        "random.key": Call(wc.random.key, {"seed": 3}),
        "random.permutation": Call(wc.random.permutation, {"key": KEY, "n": 3}),
        "random.split": Call(wc.random.split, {"key": KEY, "n": 3}),
        "ask_tell.ask": Call(wc.ask_tell.ask, {"state": after}),
        "ask_tell.calibration_batch": Call(
            wc.ask_tell.calibration_batch, {"key": KEY, "generation": 1, "examples": 12, "config": SEARCH}
        ),
        "ask_tell.crossed": Call(
            wc.ask_tell.crossed, {"keys": keys, "mothers": bred, "fathers": bred, "plan": PLAN}
        ),
        "ask_tell.mutated": Call(
            wc.ask_tell.mutated, {"keys": keys, "masks": bred, "plan": PLAN, "mutation": 0.5}
        ),
        "ask_tell.tournaments": Call(
            wc.ask_tell.tournaments, {"key": KEY, "fitness": np.arange(3.0), "count": 4}
        ),
        "ask_tell.finished": Call(wc.ask_tell.finished, {"state": after}),
        "ask_tell.init": Call(wc.ask_tell.init, {"key": KEY, "space": SPACE, "sparsity": 0.5, "config": SEARCH}),
        "ask_tell.random_search": Call(wc.ask_tell.random_search, {"key": KEY, "fitness": np.arange(3.0)}),
        "ask_tell.select": Call(wc.ask_tell.select, {"fitness": np.arange(3.0)}),
        "ask_tell.tell": Call(wc.ask_tell.tell, {"state": after, "fitness": np.arange(3.0)}),
        "ask_tell.validation_batch": Call(
            wc.ask_tell.validation_batch, {"key": KEY, "generation": 1, "examples": 12, "config": SEARCH}
        ),
        "backend.accuracy": Call(wc.backend.accuracy, {"logits": logits, "labels": Y, "axis": -1}),
        "backend.achieved_sparsity": Call(wc.backend.achieved_sparsity, {"masks": masks}),
        "backend.best_overall": Call(wc.backend.best_overall, {"history": after.history}),
        "backend.check_layers": Call(wc.backend.check_layers, {"backend": backend, "net": NET}),
        "backend.check_plan": Call(wc.backend.check_plan, {"net": NET, "plan": FIXED}),
        "backend.check_search": Call(wc.backend.check_search, {"net": NET, "config": SEARCH, "examples": 12}),
        "backend.chunk_size": Call(wc.backend.chunk_size, {"plan": PLAN, "config": SEARCH}),
        "backend.compacted": Call(wc.backend.compacted, {"net": NET, "room": wc.backend.likely_room(NET, PLAN)}),
        "backend.correct_classes": Call(wc.backend.correct_classes, {"logits": logits, "labels": Y, "axis": -1}),
        "backend.counted_sites": Call(wc.backend.counted_sites, {"net": NET}),
        "backend.counted_room": Call(wc.backend.counted_room, {"net": NET, "plan": PLAN, "most": PLAN.kept}),
        "backend.decayed_paths": Call(wc.backend.decayed_paths, {"net": NET, "config": TRAIN}),
        "backend.draw_population": Call(
            wc.backend.draw_population, {"key": KEY, "plan": PLAN, "config": SEARCH, "origins": after.origins}
        ),
        "backend.epoch_batches": Call(wc.backend.epoch_batches, {"keys": [KEY], "epoch": 1, "plan": FIXED}),
        "backend.host_array": Call(wc.backend.host_array, {"value": X}),
        "backend.host_view": Call(wc.backend.host_view, {"value": X}),
        "backend.filled": Call(wc.backend.filled, {"mask": np.asarray([True, False, False]), "nodes": 2}),
        "backend.keep_smallest": Call(wc.backend.keep_smallest, {"bits": words, "k": 2}),
        "backend.kept_indices": Call(wc.backend.kept_indices, {"masks": masks}),
        "backend.learning_rates": Call(wc.backend.learning_rates, {"config": TRAIN, "steps": 2}),
        "backend.known_room": Call(wc.backend.known_room, {"net": NET, "plan": PLAN}),
        "backend.likely_room": Call(wc.backend.likely_room, {"net": NET, "plan": PLAN}),
        "backend.map_tree": Call(wc.backend.map_tree, {"change": do_nothing, "tree": params}),
        "backend.masks_from_keys": Call(wc.backend.masks_from_keys, {"keys": KEY[None], "plan": PLAN}),
        "backend.negative_cross_entropy": Call(
            wc.backend.negative_cross_entropy, {"logits": logits, "labels": Y, "axis": -1}
        ),
        "backend.order_keys": Call(wc.backend.order_keys, {"bits": words}),
        "backend.own_failure": Call(wc.backend.own_failure, {"name": "the fitness f", "error": ValueError("x")}),
        "backend.shown": Call(wc.backend.shown, {"value": X}),
        "backend.predictions": Call(wc.backend.predictions, {"logits": logits, "axis": -1}),
        "backend.products": Call(wc.backend.products, {"small": small, "own_weights": False}),
        "backend.own_arrays": Call(wc.backend.own_arrays, {"small": small}),
        "backend.sgd_step": Call(
            wc.backend.sgd_step,
            {"params": learned, "velocity": learned, "gradient": learned, "rate": 0.1,
             "decayed": dict.fromkeys(learned, True), "config": TRAIN},
        ),
        "backend.share_of_memory": Call(wc.backend.share_of_memory, {"devices": 2}),
        "backend.side_by_side": Call(wc.backend.side_by_side, {"work": do_nothing, "parts": (1, 2)}),
        "backend.adopted": Call(wc.backend.adopted, {"net": NET}),
        "backend.noise_words": Call(wc.backend.noise_words, {"keys": [KEY], "epoch": 0, "plan": FIXED}),
        "backend.split_at_first_mask": Call(wc.backend.split_at_first_mask, {"net": NET}),
        "scores.magnitude": Call(wc.scores.magnitude, {"net": NET, "params": params}),
        "scores.snip": Call(
            wc.scores.snip, {"net": NET, "params": params, **on_split, "key": KEY, "per_class": 2}
        ),
        "scores.synflow": Call(
            wc.scores.synflow, {"net": NET, "params": params, "plan": PLAN, "backend": backend, "key": KEY, "steps": 2}
        ),
        "backend.search_plan": Call(wc.backend.search_plan, {"net": NET, "sparsity": 0.5, "config": SEARCH}),
        "backend.train_plan": Call(wc.backend.train_plan, {"config": TRAIN, "examples": 12, "optimizer": None}),
    }  # fmt: skip


def methods(backend: wc.backend.Backend) -> dict[str, Call]:
    """Every method of a backend, and every call of its contract."""
    params = backend.initialise(IMAGES, KEY)
    statistics = {path: backend.asarray(value) for path, value in wc.nn.initial_statistics(IMAGES).items()}
    space = wc.mask_space(IMAGES)
    plan = wc.mask_plan(space, 0.5)
    masks = backend.sample_masks(KEY, space, 0.5, 2)
    images, labels = np.random.default_rng(2).normal(size=(12, 4, 4, 2)).astype(np.float32), Y
    x, y = backend.asarray(images), backend.asarray(labels)
    specs = wc.nn.he_normal(IMAGES)
    fixed = wc.backend.train_plan(TRAIN, len(Y))
    keys = wc.random.split(KEY, 2)
    two = {path: backend.asarray(np.stack([backend.to_numpy(value)] * 2)) for path, value in params.items()}
    moving = {path: backend.asarray(np.stack([backend.to_numpy(value)] * 2)) for path, value in statistics.items()}
    state = backend.train_init(IMAGES, fixed, keys, two, moving)
    population = wc.backend.Population(2, plan, keys, keys, None)
    one = {site: backend.to_numpy(mask)[0] for site, mask in masks.items()}
    found = {
        "sample_masks": {"key": KEY, "space": space, "sparsity": 0.5, "count": 2, "sampling": "exact",
                         "allocation": "global"},
        "initialise": {"net": IMAGES, "key": KEY, "specs": specs},
        "apply": {"net": IMAGES, "params": params, "x": images, "masks": one, "statistics": statistics},
        "score": {
            "net": IMAGES, "params": params, "candidates": masks, "x": images, "y": labels, "fitness": "accuracy",
            "precision": "highest", "chunk": 2, "statistics": statistics, "calibration": None,
        },
        "asarray": {"array": images},
        "to_numpy": {"array": x},
        "random_bits": {"key": KEY, "n": 3},
        "keep_smallest": {"bits": wc.random.bits(KEY, 5), "k": 2},
        "masks_from_keys": {"keys": keys, "plan": plan},
        "draw_parameters": {"key": KEY, "specs": specs},
        "score_population": {
            "net": IMAGES, "params": specs, "population": population, "batch": wc.backend.ScoredBatch(x, y),
            "scoring": wc.backend.Scoring("accuracy", "highest", 2),
        },
        "predict": {"net": IMAGES, "params": two, "statistics": moving, "masks": masks, "x": x},
        "train_init": {"net": IMAGES, "plan": fixed, "keys": keys, "params": two, "statistics": moving},
        "mask_gradient": {
            "net": IMAGES, "params": params, "statistics": statistics,
            "masks": {site: mask[0] for site, mask in masks.items()}, "x": x, "y": y,
        },
        "train_epoch": {
            "net": IMAGES, "plan": fixed, "state": state, "masks": masks, "x": x, "y": y,
            "batches": wc.backend.epoch_batches(list(keys), 0, fixed),
        },
    }  # fmt: skip
    calls = {name: Call(getattr(backend, name), given) for name, given in found.items()}
    for name in ("asarray", "to_numpy"):  # whose argument has no name in the contract
        calls[name] = Call(lambda array, name=name: getattr(backend, name)(array), found[name])
    return calls


def do_nothing(*given: Any) -> None:
    """A callback, and whatever else takes anything."""


class Hostile:
    """Answers every question with an exception of its own."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} here")

    def __repr__(self) -> str:
        raise RuntimeError("no text here")


def values() -> list[Any]:
    """What there is to hand in. No number in between: it could be a size that takes the memory of a machine."""
    nested: Any = ()
    for _ in range(100_000):
        nested = (nested,)
    ragged: Any = [[1.0], [2.0, 3.0]]
    plain = [
        None, True, False, 0, -1, 1, 2, 3, 2**63, -(2**63), 10**400, 0.5, -0.5, 1.5, 1e300, float("nan"),
        float("inf"), 2j, "", "a", "hidden_0", "\ud800", "numpy", "accuracy", "[" * 100_000, b"words", [], [1, 2],
        (3, 4), ragged, {}, {"a": 1}, {1: 2}, {"hidden_0": 0.5}, {1, 2}, nested, itertools.count(), range(3),
        Decimal("0.5"), Fraction(1, 2), Path("nowhere"), date(2024, 1, 1), object(), Hostile(), do_nothing, type, wc,
        Ellipsis, slice(3), NET, IMAGES, SEARCH, TRAIN, PLAN, NET.layers[0], wc.WeedoutError("no"),
    ]  # fmt: skip
    arrays = [
        np.int64(3), np.int8(-1), np.uint64(2**63), np.float32(0.5), np.float16(0.5), np.bool_(True), np.str_("a"),
        np.datetime64("2024"), X, X[:0], X.astype(np.float64), X.astype(np.int8), X.astype(str), X.astype(object),
        X.astype(complex), np.full_like(X, np.nan), X[0], X.T, Y, Y[:5], Y - 9, Y.astype(np.uint8), Y + 10**6, Y > 0,
        Y.astype(np.int64) + 2**40, KEY, KEY.astype(np.int64), KEY.astype(float), KEY[None], np.zeros((2, 6), bool),
        np.zeros((2, 5), bool), np.array(3), np.array(0.5), np.array(None), np.ma.masked_array(X, X > 0),
        [np.ma.masked_array(X, X > 0)], X.view(np.matrix),
        np.zeros(3, [("a", int)]), np.arange(3.0), np.array([np.nan, -np.inf, 1.0]), np.zeros((0, 2), np.uint32),
    ]  # fmt: skip
    return [*plain, *arrays, *_jax(), *_torch()]


def _jax() -> list[Any]:
    import jax
    import jax.numpy as jnp

    return [
        jax.random.key(3),
        jax.random.key(3, impl="rbg"),
        jnp.asarray(X),
        jnp.asarray(X, jnp.bfloat16),
        jnp.arange(2),
    ]


def _torch() -> list[Any]:
    import torch

    x = torch.tensor(X)
    return [
        x,
        x.bfloat16(),
        x.to("meta"),
        x.requires_grad_(),
        torch.tensor(Y),
        torch.tensor(3),
        torch.Size([3]),
        *torn(x.detach()),
    ]


def torn(x: Any) -> list[Any]:
    """Tensors of PyTorch that hold not all of the values of their shape, or not in their place."""
    import torch

    with catch_warnings():
        simplefilter("ignore")  # they are in its beta
        masked = torch.masked.masked_tensor(x, x > 0)
        kinds = [x.to_sparse(), x.to_sparse_csr(), x.to_mkldnn(), torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)]
        return [*kinds, masked, [masked], torch.nested.nested_tensor([x[0], x[1, :2]])]


def spoilt(value: Any, other: Any, random: Random) -> Any:
    """A value with another one in its place, or in the place of some part of it."""
    parts = list(_parts(value))
    if not parts or random.random() < 0.4:
        return other
    part, put = random.choice(parts)
    return put(spoilt(part, other, random))


def _parts(value: Any) -> Iterator[tuple[Any, Callable[[Any], Any]]]:
    """The parts of a value, each with a function that gives the value with another part there."""
    if isinstance(value, Mapping):
        for name in value:
            yield value[name], lambda other, name=name: {**value, name: other}
            yield name, lambda other, name=name: {_hashable(other) if key == name else key: value[key] for key in value}
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for name in value._fields:  # pyright: ignore[reportAttributeAccessIssue]
            yield getattr(value, name), lambda other, name=name: value._replace(**{name: other})  # pyright: ignore[reportAttributeAccessIssue]
    elif isinstance(value, tuple | list):
        for place in range(len(value)):
            yield value[place], lambda other, place=place: [*value[:place], other, *value[place + 1 :]]
    elif is_dataclass(value) and not isinstance(value, type | wc.backend.Backend):
        for item in fields(value):
            yield getattr(value, item.name), lambda other, name=item.name: replace(value, **{name: other})


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except Exception:
        return "unhashable"
    return value


def functions(face: types.ModuleType) -> set[str]:
    """The public functions of a face."""
    return {name for name in face.__all__ if isinstance(getattr(face, name), types.FunctionType)}
