"""The devices that share the work, and the placement of arrays on them."""

import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from weedout_core.backend import share_of_memory
from weedout_core.errors import BackendError
from weedout_jax.threads import devices as found_with

AXIS = "devices"


def find_mesh(device: str | None, devices: int, threads: int | None = None) -> Mesh:
    """The first ``devices`` devices of a platform, whose CPU computes with some ``threads``.

    Raises:
        BackendError: there are fewer devices, or the process computes with another number of threads already.
    """
    try:
        found = found_with(device, threads)
    except _NO_DEVICE as error:
        why = next(iter(str(error).splitlines()), "it gives no reason")
        raise BackendError(
            f"JAX has no device{f' {device!r}' if device else ''} here ({why}); {_instead()}."
        ) from error
    owners = [one.process_index for one in found]
    least = 1 + max(map(owners.index, owners))  # so many that each process has one
    if not least <= devices <= len(found):
        several = "" if least == 1 else ", so that each of the processes has one"
        raise BackendError(
            f"devices must be in [{least}, {len(found)}], the {found[0].platform} devices JAX sees{several}; got "
            f"{devices}."
        )
    return mesh_of(found[:devices])


def _instead() -> str:
    try:
        return f"it has {jax.default_backend()!r}"
    except _NO_DEVICE:
        platforms = os.environ.get("JAX_PLATFORMS")
        return f"JAX_PLATFORMS is {platforms!r}: unset it, or name a platform that is here, such as cpu"


#: What JAX raises where a platform is not here; it asserts that "cuda" is.
_NO_DEVICE = (RuntimeError, AssertionError)


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """A mesh with one axis of devices, which may exist or be described by a topology."""
    return jax.make_mesh((len(devices),), (AXIS,), devices=devices, axis_types=(AxisType.Auto,))


def platform(mesh: Mesh) -> str:
    """The platform of the devices: "cpu", "gpu" or "tpu"."""
    return mesh.devices.flat[0].platform


def memory(mesh: Mesh) -> int | None:
    """The bytes that JAX may allocate on each device; on a CPU a part of the machine's memory. None if unknown."""
    if platform(mesh) == "cpu":
        return share_of_memory(len(mesh.local_devices))
    told = mesh.local_devices[0].memory_stats()
    return None if told is None else told.get("bytes_limit")


def everywhere(mesh: Mesh) -> NamedSharding:
    """The placement of a whole array on each device."""
    return NamedSharding(mesh, PartitionSpec())


def shared(mesh: Mesh) -> NamedSharding:
    """The placement that cuts the leading axis into equal parts, one for each device."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def put(tree: Any, where: Sharding) -> Any:
    """A tree of arrays, each put where it is wanted. NumPy arrays are copied, because JAX may read them in place later.

    Each process that has some of the devices must call this with the same arrays. An array that is already there is
    returned as it is: checking is faster than ``jax.device_put``, and this is done for each array of each epoch.
    """

    def placed(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            return from_host(leaf.copy(), where)
        return leaf if isinstance(leaf, jax.Array) and leaf.sharding == where else jax.device_put(leaf, where)

    return jax.tree.map(placed, tree)


def from_host(array: np.ndarray, where: Sharding) -> jax.Array:
    """A whole array of this process, of which its devices get their parts.

    ``jax.device_put`` would compare the array with that of each other process.
    """
    return jax.make_array_from_process_local_data(where, array, array.shape)


def share(mesh: Mesh, tree: Any) -> Any:
    """Inside a program: each array is shared over the devices if their number divides its leading axis.

    Results computed from these arrays are shared in the same way, and sums over the axis are sums over the devices.
    """
    return jax.tree.map(
        lambda leaf: leaf if len(leaf) % mesh.size else lax.with_sharding_constraint(leaf, shared(mesh)), tree
    )


def gather(mesh: Mesh, tree: Any) -> Any:
    """Inside a program: put each whole array on each device, as the next program expects it."""
    return lax.with_sharding_constraint(tree, everywhere(mesh))
