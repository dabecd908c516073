"""Presets: how the command line trains a network unless its options say otherwise. These presets are ours.

Of the learning phase the paper gives one number, its batch of 1,024 (section 3). The rest is taken from Zagoruyko,
Komodakis, "Wide Residual Networks" (BMVC 2016), section 3: 200 epochs, crops padded by 4 and flips, Nesterov momentum
0.9 and decay 5e-4 (the defaults of ``TrainConfig``, for every network). Their learning rate, 0.1, is for a batch of
128; we scale it with the batch, to 0.8, and reach it after five epochs of warm-up (Goyal et al., "Accurate, large
minibatch SGD", 2017, section 2), or after a tenth of the epochs if there are fewer than fifty. Their rate drops three
times; ours follows a cosine, which ends at 0 for any number of epochs. Their own schedule is ``--schedule step
--step-epochs 60 120 160``. WRN-10-1 is a small network, for a subset of CIFAR on two cores.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from weedout_core import TrainConfig

_CIFAR = MappingProxyType(
    {"epochs": 200, "batch_size": 1024, "learning_rate": 0.8, "warmup_epochs": 5, "augmentation": "crop_flip"}
)

#: The fields of ``TrainConfig`` that a preset sets, by a pattern of the network's name; the first that matches counts.
RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "mlp": MappingProxyType({}),
        "wrn-10-1": MappingProxyType({"epochs": 8, "batch_size": 64, "learning_rate": 0.1}),
        "wrn-*": _CIFAR,
        "vgg-*": _CIFAR,
    }
)

#: The fields that the preset of at least one network sets.
BROUGHT = frozenset(name for fields in RECIPES.values() for name in fields)

_ONLY_ON_CIFAR = {"augmentation"}  # a mirrored digit is not a digit


def recipe(network: str, dataset: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``TrainConfig``: those given, else those of the network's preset. An unknown network has none."""
    brought = next((fields for name, fields in RECIPES.items() if fnmatchcase(network, name)), {})
    left_out = set[str]() if dataset.startswith("cifar") else _ONLY_ON_CIFAR
    fields = {name: value for name, value in brought.items() if name not in left_out} | dict(given)
    if "warmup_epochs" in brought and "warmup_epochs" not in given:
        epochs = fields["epochs"]  # of the user's: what is no integer is refused where the configuration is made
        fields["warmup_epochs"] = min(brought["warmup_epochs"], epochs // 10) if isinstance(epochs, int) else 0
    return fields


def recipe_text(field: str) -> str:
    """The presets of all networks for a field, such as "20 for mlp, 8 for wrn-10-1, 200 for wrn-* and vgg-*"."""
    networks: dict[Any, list[str]] = {}
    for network, fields in RECIPES.items():
        networks.setdefault(fields.get(field, getattr(TrainConfig(), field)), []).append(network)
    text = ", ".join(f"{value} for {' and '.join(names)}" for value, names in networks.items())
    return f"{text} on CIFAR" if field in _ONLY_ON_CIFAR else text
