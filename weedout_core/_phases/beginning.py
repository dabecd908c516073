"""What a training or a search began with. Results carry it, so that they can be matched with their run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.schedule import TrainPlan
from weedout_core._configs.planning import recorded
from weedout_core._configs.search_config import SearchConfig
from weedout_core._configs.train_config import TrainConfig
from weedout_core._guard.kinds import Eta, Name, Positive, Word
from weedout_core._masks.allocation import Sparsity, by_site
from weedout_core._masks.plan import MaskPlan
from weedout_core._networks.as_json import network_to_json
from weedout_core._networks.examples import Examples
from weedout_core._networks.network import Network, mask_space
from weedout_core._phases.digests import digest
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.training_before import Training
from weedout_core._random.annotations import Key


class Beginning(NamedTuple):
    """What a training began with. On a given backend it determines all results.

    Networks and splits are stored as SHA-256 digests, in hexadecimal. A digest of arrays covers their names, dtypes and
    shapes too.

    Attributes:
        net: digest of the layers and the input shape, as JSON.
        params, mask, statistics: digests of the network's arrays as they were handed in.
        x, y: digests of the training split, in its order.
        test: digest of the split that is measured after each epoch; None without one.
        key: the two words of the key.
        optimizer: whether an optimizer of the user's took the place of the built-in SGD. Which one is not recorded.
        config: the configuration.
        searched: digest of what its mask is searched with while it trains; None where its mask stays.
    """

    net: str
    params: str
    mask: str
    statistics: str
    x: str
    y: str
    test: str | None
    key: tuple[Word, Word]
    optimizer: bool
    config: TrainConfig
    searched: str | None = None


class SearchBeginning(NamedTuple):
    """What a search began with. On a given backend it determines the fitness of every generation.

    Attributes:
        net: the SHA-256 digest, in hexadecimal, of the layers and the input shape as JSON.
        x, y: the SHA-256 digests of the validation split, in its order.
        key: the two words of the key.
        sparsity: (site, η) for each site; η is the fraction of nodes removed.
        kept: (site, nodes) for each site: what its allocation made of that, as :class:`weedout_core.backend.SitePlan`
            has it.
        config: the configuration, in which a function is named "package.module:function".
        training: the SHA-256 digest of the training split, where candidates are trained before they are scored.
        learning: how they are trained.
    """

    net: str
    x: str
    y: str
    key: tuple[Word, Word]
    sparsity: tuple[tuple[Name, Eta], ...]
    kept: tuple[tuple[Name, Positive], ...]
    config: SearchConfig
    training: str | None = None
    learning: TrainConfig | None = None


def beginnings(
    networks: Sequence[Subnetwork],
    examples: Examples,
    tested: Examples | None,
    keys: Sequence[Key],
    plan: TrainPlan,
    searched: Sequence[str | None],
) -> list[Beginning]:
    """What the training of each network begins with. All networks have one parent."""
    x, y = digest({"x": examples.x}), digest({"y": examples.y})
    test = None if tested is None else digest(tested._asdict())
    net = _of_network(networks[0].net)
    return [
        Beginning(
            net, digest(one.params), digest(one.mask or {}), digest(one.moving), x, y, test,
            _words(key), plan.optimizer is not None, plan.config, its_search,
        )
        for one, key, its_search in zip(networks, keys, searched, strict=True)
    ]  # fmt: skip


def search_beginning(
    net: Network,
    examples: Examples,
    key: Key,
    sparsity: Sparsity,
    plan: MaskPlan,
    config: SearchConfig,
    training: Training | None,
) -> SearchBeginning:
    """What a search begins with."""
    x, y = digest({"x": examples.x}), digest({"y": examples.y})
    per_site, kept = tuple(by_site(mask_space(net), sparsity).items()), tuple(plan.kept.items())
    split = None if training is None else digest(training.examples._asdict())
    learning = None if training is None else training.plan.config
    words = _words(key)
    return SearchBeginning(_of_network(net), x, y, words, per_site, kept, recorded(config), split, learning)


def _of_network(net: Network) -> str:
    return digest({"net": np.frombuffer(network_to_json(net).encode(), np.uint8)})


def _words(key: Key) -> tuple[int, int]:
    return int(key[0]), int(key[1])
