"""Trying whether an adopted model that its masks make smaller computes, and is trained, as it is under them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from weedout_core._compaction.following import Draw, Tree, Works, followed, trials
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.record import Backend
from weedout_core._networks.layers import InputShape
from weedout_core._networks.models import Adopted
from weedout_core._networks.network import Network
from weedout_core._phases.learning_phase import train
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.together import sparse_networks
from weedout_core._random.keys import key

# Sums in another order differ by some hundred roundings of float32, gradients by some thousand; what one removed node
# would have given is far more.
_LOGITS, _GRADIENTS = 1e-4, 1e-3
# Of the largest change of any array. What changes by less has a gradient of nothing but roundings, as a bias has before
# batch normalisation: terms that cancel, each as large as those of others.
_LITTLE = 1e-2
_FEW = 2  # examples

_T = TypeVar("_T")


def made_smaller(layer: Adopted, input_shape: InputShape, backend: Backend) -> Adopted:
    """An adopted model, with all that its arrays follow.

    Sites are tried on a few examples of one draw, because there may be many. What works on them is tried on all draws,
    and if it fails there, so is every site.
    """
    draws = trials(layer, input_shape)
    nearly = _works(layer, [draws[-1]._replace(x=draws[-1].x[:_FEW])], backend)
    surely = _works(layer, draws, backend)
    found = followed(layer, input_shape, nearly)
    found = found if surely(found) else followed(layer, input_shape, surely)
    smaller = any(held.follows for held in found.params) and not layer.trained_whole
    return replace(
        found, trained_whole=layer.trained_whole or (smaller and not _trained_alike(found, draws[-1], backend))
    )


def _works(layer: Adopted, draws: Sequence[Draw], backend: Backend) -> Works:
    whole = [_logits(layer, draw, backend, compaction=False)() for draw in draws]

    def works(tried: Adopted) -> bool:
        smaller = (_tried(_logits(tried, draw, backend, compaction=True)) for draw in draws)
        return all(_agree(*pair) for pair in zip(smaller, whole, strict=True))

    return works


def _tried(run: Callable[[], _T]) -> _T | None:
    """What a smaller model gives; None if it fails: in whatever way, it says that it has no smaller form there."""
    try:
        return run()
    except Exception:
        return None


def _network(layer: Adopted, draw: Draw) -> Subnetwork:
    return Subnetwork(Network((layer,), draw.x.shape[1:]), draw.params, draw.masks, draw.statistics or None)


def _logits(layer: Adopted, draw: Draw, backend: Backend, compaction: bool) -> Callable[[], np.ndarray]:
    """A function that runs the model. What is handed to it is made at once."""
    network = _network(layer, draw)
    sparse = sparse_networks([network], backend, compaction)
    params, statistics = (sparse.smaller(backend, [tree]) for tree in (network.params, network.moving))
    x = backend.asarray(draw.x)
    return lambda: backend.to_numpy(backend.predict(sparse.net, params, statistics, sparse.masks, x))


def _agree(smaller: np.ndarray | None, whole: np.ndarray) -> bool:
    if smaller is None or smaller.shape != whole.shape:
        return False
    return _differ(smaller, whole) <= _LOGITS * _differ(whole, np.zeros_like(whole))


def _trained_alike(layer: Adopted, draw: Draw, backend: Backend) -> bool:
    """Whether a step of training changes every array alike, as a smaller model and under the masks."""
    network, examples = _network(layer, draw), len(draw.x)
    data = draw.x, np.arange(examples) % layer.classes

    def trained(compaction: bool) -> tuple[Tree, Tree]:
        config = TrainConfig(epochs=1, batch_size=examples, compaction=compaction, precision="highest")
        after = train(network, data, config=config, backend=backend, key=key(0)).network
        return after.params, after.moving

    small = _tried(lambda: trained(compaction=True))
    before, whole = (network.params, network.moving), trained(compaction=False)
    return small is not None and all(_moved_alike(*trees) for trees in zip(before, small, whole, strict=True))


def _moved_alike(before: Tree, small: Tree, whole: Tree) -> bool:
    changes = {path: _differ(whole[path], before[path]) for path in before}
    least = _LITTLE * max(changes.values(), default=0.0)
    return all(_differ(small[path], whole[path]) <= _GRADIENTS * max(changes[path], least) for path in before)


def _differ(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max(initial=0))
