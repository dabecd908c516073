"""The contents of a checkpoint: the progress of a group as arrays by name, and everything else as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from weedout_core import (
    Beginning,
    Epoch,
    Generation,
    Network,
    SearchBeginning,
    SearchConfig,
    Subnetwork,
    TrainConfig,
    Trained,
)
from weedout_core.backend import Origin
from weedout_core.lab.experiment.arms import LeftOut, Start, Work
from weedout_core.lab.experiment.choosing import fingerprint
from weedout_core.lab.experiment.so_far import GroupProgress
from weedout_core.nn import network_from_json, network_to_json


def plain(progress: GroupProgress) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Convert progress to arrays by name and to JSON values that say how to read them."""
    arrays: dict[str, np.ndarray] = {}
    chosen = [_facts_of_choice(arrays, i, one) for i, one in enumerate(progress.chosen)]
    arrays |= {f"scored/{g}": one.fitness for g, one in enumerate(progress.scored)}
    for number, trained in enumerate(progress.trained):
        arrays |= {f"trained/{number}/{name}": value for name, value in _arrays_of(trained).items()}
    return arrays, {
        "parents": progress.parents,
        "chosen": chosen,
        "spent": progress.spent,
        "scored": [_facts_of_generation(one) for one in progress.scored],
        "epochs": [len(trained.history) for trained in progress.trained],
        "began": [_facts_of(trained.began) for trained in progress.trained],
        "seals": [trained.seal for trained in progress.trained],
        "searched": [[_facts_of_generation(one) for one in trained.generations] for trained in progress.trained],
        "networks": [network_to_json(trained.network.net) for trained in progress.trained],
    }


def as_progress(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], parent: Network) -> GroupProgress:
    """The progress from the result of :func:`plain`. The parent is needed because text cannot hold an adopted model."""

    def network(text: str) -> Network:
        net = network_from_json(text)
        return parent if net == parent else net

    chosen = tuple(_choice(arrays, i, one, network) for i, one in enumerate(facts["chosen"]))
    trained = tuple(
        _trained(_tree(arrays, f"trained/{i}"), network(net), epochs, _began(facts["began"][i]), seal)._replace(
            generations=_history(arrays, f"trained/{i}/fitness", facts["searched"][i])
        )
        for i, (net, epochs, seal) in enumerate(zip(facts["networks"], facts["epochs"], facts["seals"], strict=True))
    )
    return GroupProgress(
        facts["parents"], chosen, _history(arrays, "scored", facts["scored"]), Work(*facts["spent"]), trained
    )


#: The fields of a Start that are plain values.
_PLAIN = ("fitness", "population_mean", "evaluations", "stopped", "batch", "margin")


def _facts_of_choice(arrays: dict[str, np.ndarray], number: int, choice: Start | LeftOut) -> dict[str, Any]:
    """The JSON values of a choice, whose arrays are added to the others; weights that several have are kept once."""
    if isinstance(choice, LeftOut):
        return choice._asdict()
    trees = dict(choice.network.trees)
    weights = fingerprint([trees.pop("params")])
    arrays |= {f"weights/{weights}/{path}": value for path, value in choice.network.params.items()}
    trees |= {} if choice.scores is None else {"scores": choice.scores}
    for name, tree in trees.items():
        arrays |= {f"chosen/{number}/{name}/{path}": value for path, value in tree.items()}
    arrays |= {f"chosen/{number}/history/{g}": one.fitness for g, one in enumerate(choice.history)}
    return {name: getattr(choice, name) for name in _PLAIN} | {
        "net": network_to_json(choice.network.net),
        "weights": weights,
        "origin": choice.origin,
        "spent": choice.spent,
        "history": [_facts_of_generation(one) for one in choice.history],
    }


def _choice(
    arrays: Mapping[str, np.ndarray], number: int, facts: Mapping[str, Any], network: Callable[[str], Network]
) -> Start | LeftOut:
    if "why" in facts:
        return LeftOut(**facts)
    mask, statistics, scores = (_tree(arrays, f"chosen/{number}/{name}") for name in ("mask", "statistics", "scores"))
    params = _tree(arrays, f"weights/{facts['weights']}")
    return Start(
        Subnetwork(network(facts["net"]), params, mask or None, statistics or None),
        scores=scores or None,
        origin=None if facts["origin"] is None else Origin(*facts["origin"]),
        history=_history(arrays, f"chosen/{number}/history", facts["history"]),
        spent=Work(*facts["spent"]),
        **{name: facts[name] for name in _PLAIN},
    )


def _history(arrays: Mapping[str, np.ndarray], name: str, facts: list[Mapping[str, Any]]) -> tuple[Generation, ...]:
    return tuple(_generation(one, arrays[f"{name}/{g}"]) for g, one in enumerate(facts))


def _arrays_of(trained: Trained) -> dict[str, np.ndarray]:
    trees = {**trained.network.trees, "velocity": trained.velocity}
    arrays = {f"{name}/{path}": value for name, tree in trees.items() for path, value in tree.items()}
    shown = {f"history/{name}": np.array([getattr(epoch, name) for epoch in trained.history]) for name in _SHOWN}
    scored = {f"fitness/{g}": one.fitness for g, one in enumerate(trained.generations)}
    return {**arrays, "losses": trained.losses, **shown, **scored}


def _trained(arrays: Mapping[str, np.ndarray], net: Network, epochs: int, began: Beginning, seal: str) -> Trained:
    params, mask, statistics, velocity = (_tree(arrays, name) for name in ("params", "mask", "statistics", "velocity"))
    shown = [arrays[f"history/{name}"] for name in _SHOWN]
    history = tuple(Epoch(epoch + 1, *(values[epoch].item() for values in shown)) for epoch in range(epochs))
    network = Subnetwork(net, params, mask or None, statistics or None)
    return Trained(network, velocity, arrays["losses"], history, began, seal)


def _facts_of_generation(one: Generation) -> dict[str, Any]:
    return one._asdict() | {"fitness": None, "began": None if one.began is None else _facts_of(one.began)}


def _generation(facts: Mapping[str, Any], fitness: np.ndarray) -> Generation:
    began = None if facts["began"] is None else _search_began(facts["began"])
    return Generation(**{**facts, "elite": Origin(*facts["elite"]), "fitness": fitness, "began": began})


def _search_began(facts: Mapping[str, Any]) -> SearchBeginning:
    high, low = facts["key"]
    pairs = {name: tuple((site, value) for site, value in facts[name]) for name in ("sparsity", "kept")}
    learning = None if facts["learning"] is None else _train_config(facts["learning"])
    config = SearchConfig(**facts["config"])
    return SearchBeginning(**{**facts, **pairs, "key": (high, low), "config": config, "learning": learning})


def _facts_of(began: Beginning | SearchBeginning) -> dict[str, Any]:
    facts = began._asdict() | {"config": asdict(began.config)}
    learning = getattr(began, "learning", None)
    return facts | ({} if learning is None else {"learning": asdict(learning)})


def _began(facts: Mapping[str, Any]) -> Beginning:
    """The beginning from JSON, which has lists in place of tuples."""
    high, low = facts["key"]
    return Beginning(**{**facts, "key": (high, low), "config": _train_config(facts["config"])})


def _train_config(facts: Mapping[str, Any]) -> TrainConfig:
    return TrainConfig(**{**facts, "step_epochs": tuple(facts["step_epochs"])})


def _tree(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {path.removeprefix(f"{name}/"): value for path, value in arrays.items() if path.startswith(f"{name}/")}


_SHOWN = Epoch._fields[1:]
