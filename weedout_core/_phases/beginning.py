"""What a training began with: by that a trained network knows which training it is a part of."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.schedule import TrainPlan
from weedout_core._configs.train_config import TrainConfig
from weedout_core._guard.kinds import Word
from weedout_core._networks.examples import Examples
from weedout_core._networks.network import network_to_json
from weedout_core._phases.digests import digest
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._random.annotations import Key


class Beginning(NamedTuple):
    """What a training began with, which decides all that it gives on a backend.

    A network and a split are here as SHA-256, in hexadecimal; that of arrays counts their names, dtypes and shapes.

    Attributes:
        net: the layers and the input shape, as JSON.
        params, mask, statistics: those of the network as it was handed in.
        x, y: the training split, in its order.
        key: the two words of the key.
        optimizer: whether an optimizer of the user's takes the place of the built-in SGD. Which one is not known.
        config: the configuration.
    """

    net: str
    params: str
    mask: str
    statistics: str
    x: str
    y: str
    key: tuple[Word, Word]
    optimizer: bool
    config: TrainConfig


def beginnings(
    networks: Sequence[Subnetwork], examples: Examples, keys: Sequence[Key], plan: TrainPlan
) -> list[Beginning]:
    """What the training of each of some networks of one parent begins with."""
    x, y = digest({"x": examples.x}), digest({"y": examples.y})
    net = digest({"net": np.frombuffer(network_to_json(networks[0].net).encode(), np.uint8)})
    return [
        Beginning(
            net, digest(one.params), digest(one.mask or {}), digest(one.moving), x, y,
            _words(key), plan.optimizer is not None, plan.config,
        )
        for one, key in zip(networks, keys, strict=True)
    ]  # fmt: skip


def _words(key: Key) -> tuple[int, int]:
    return int(key[0]), int(key[1])
