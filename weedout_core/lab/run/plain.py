"""The contents of a checkpoint: the progress of a group as arrays by name, and everything else as JSON."""

from collections.abc import Mapping
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
from weedout_core.lab.experiment.so_far import GroupProgress
from weedout_core.nn import network_from_json, network_to_json


def plain(progress: GroupProgress) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Convert progress to arrays by name and to JSON values that say how to read them."""
    arrays = {f"scored/{r}/{g}": one.fitness for r, found in enumerate(progress.scored) for g, one in enumerate(found)}
    for number, trained in enumerate(progress.trained):
        arrays |= {f"trained/{number}/{name}": value for name, value in _arrays_of(trained).items()}
    return arrays, {
        "searches": [[_facts_of_generation(one) for one in found] for found in progress.scored],
        "epochs": [len(trained.history) for trained in progress.trained],
        "began": [_facts_of(trained.began) for trained in progress.trained],
        "seals": [trained.seal for trained in progress.trained],
        "networks": [network_to_json(trained.network.net) for trained in progress.trained[:1]],  # all have this one
    }


def as_progress(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> GroupProgress:
    """The progress from the result of :func:`plain`."""
    scored = tuple(
        tuple(_generation(one, arrays[f"scored/{r}/{g}"]) for g, one in enumerate(found))
        for r, found in enumerate(facts["searches"])
    )
    nets = [network_from_json(text) for text in facts["networks"]]
    trained = tuple(
        _trained(_tree(arrays, f"trained/{i}"), nets[0], epochs, _began(facts["began"][i]), facts["seals"][i])
        for i, epochs in enumerate(facts["epochs"])
    )
    return GroupProgress(scored, trained)


def _arrays_of(trained: Trained) -> dict[str, np.ndarray]:
    trees = {**trained.network.trees, "velocity": trained.velocity}
    arrays = {f"{name}/{path}": value for name, tree in trees.items() for path, value in tree.items()}
    shown = {f"history/{name}": np.array([getattr(epoch, name) for epoch in trained.history]) for name in _SHOWN}
    return {**arrays, "losses": trained.losses, **shown}


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
    sparsity = tuple((site, eta) for site, eta in facts["sparsity"])
    return SearchBeginning(
        **{**facts, "key": (high, low), "sparsity": sparsity, "config": SearchConfig(**facts["config"])}
    )


def _facts_of(began: Beginning | SearchBeginning) -> dict[str, Any]:
    return began._asdict() | {"config": asdict(began.config)}


def _began(facts: Mapping[str, Any]) -> Beginning:
    """The beginning from JSON, which has lists in place of tuples."""
    config = facts["config"]
    config = TrainConfig(**{**config, "step_epochs": tuple(config["step_epochs"])})
    high, low = facts["key"]
    return Beginning(**{**facts, "key": (high, low), "config": config})


def _tree(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {path.removeprefix(f"{name}/"): value for path, value in arrays.items() if path.startswith(f"{name}/")}


_SHOWN = Epoch._fields[1:]
