"""Whether parameters and running statistics are a network's: their paths, shapes and dtypes."""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import numpy as np

from weedout_core._guard.showing import reordered
from weedout_core._networks.layers import Shape
from weedout_core._networks.network import Network, parameter_shapes, statistic_shapes
from weedout_core.errors import ConfigError


def checked_parameters(net: Network, params: Any, name: str = "params", *leading: int) -> None:
    """Raise ConfigError unless params are {path: array} with the network's paths, and leading axes and shapes."""
    _check_tree(name, {path: (*leading, *shape) for path, shape in parameter_shapes(net).items()}, params)


def checked_statistics(net: Network, statistics: Any, *leading: int) -> None:
    """Raise ConfigError unless statistics are {path: array} with the network's paths, and leading axes and shapes.

    Variances in NumPy arrays must not be negative either. None is allowed only for networks without batch
    normalisation: with it, what a trained network computes depends on its statistics.
    """
    wanted = {path: (*leading, *shape) for path, shape in statistic_shapes(net).items()}
    if statistics is None and wanted:
        raise ConfigError(
            "the network has batch normalisation, and its statistics must be given: those that training gave "
            "(trained.network.statistics), or wc.nn.initial_statistics(net) for weights that are not trained."
        )
    _check_tree("statistics", wanted, {} if statistics is None else statistics)
    for path, value in cast(Mapping[str, Any], statistics or {}).items():
        # What lies on a device is not fetched; there a negative variance gives NaN.
        lowest = np.min(value) if path.endswith("/variance") and type(value) is np.ndarray else 0
        if lowest < 0:
            raise ConfigError(
                f"statistics must have variances of at least 0; got {lowest:.3g} in {path!r}. Hand in those that "
                "training gave."
            )


def _check_tree(name: str, shapes: Mapping[str, Shape], tree: Any) -> None:
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{name} must be a mapping of paths to arrays; got {type(tree).__name__}.")
    found = {path: tuple(value.shape) for path, value in cast(Mapping[str, Any], tree).items()}
    for path in {**shapes, **found}:
        if found.get(path) != shapes.get(path):
            wanted = f"have shape {shapes[path]}" if path in shapes else "not be there"
            order = reordered(shapes.get(path, ()), found.get(path, ()))
            raise ConfigError(
                f"{name} must be those of the network: {path!r} must {wanted}; got {found.get(path, 'nothing')}.{order}"
            )
    for path, value in cast(Mapping[str, Any], tree).items():
        if not _of_floats(value.dtype):
            raise ConfigError(f"{name} must be arrays of floats; got {value.dtype} for {path!r}.")


@cache
def _of_floats(dtype: Any) -> bool:
    """Whether a dtype of any framework is a float. Cached: NumPy takes microseconds to name a dtype, each epoch."""
    return "float" in getattr(dtype, "name", str(dtype))
