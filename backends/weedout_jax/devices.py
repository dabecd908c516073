"""The devices that share the work, and where its arrays lie on them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from weedout_core.backend import share_of_memory
from weedout_core.errors import BackendError

AXIS = "devices"


def find_mesh(device: str | None, devices: int) -> Mesh:
    """So many devices of a platform. Raises BackendError where there are fewer."""
    try:
        found = jax.devices(device)
    except RuntimeError as error:
        raise BackendError(f"JAX has no device {device!r} here ({error}); it has {jax.default_backend()!r}.") from error
    if not 1 <= devices <= len(found):
        raise BackendError(
            f"devices must be in [1, {len(found)}], the {found[0].platform} devices JAX sees; got {devices}."
        )
    return mesh_of(found[:devices])


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Devices in a row, there or described by a topology."""
    return jax.make_mesh((len(devices),), (AXIS,), devices=devices, axis_types=(AxisType.Auto,))


def platform(mesh: Mesh) -> str:
    """ "cpu", "gpu" or "tpu"."""
    return mesh.devices.flat[0].platform


def memory(mesh: Mesh) -> int | None:
    """Bytes that each device holds: what JAX may allocate, on a CPU a part of the machine's. None: not known."""
    if platform(mesh) == "cpu":
        return share_of_memory(mesh.size)
    told = mesh.devices.flat[0].memory_stats()
    return None if told is None else told.get("bytes_limit")


def everywhere(mesh: Mesh) -> NamedSharding:
    """The whole array on each device."""
    return NamedSharding(mesh, PartitionSpec())


def shared(mesh: Mesh) -> NamedSharding:
    """The leading axis cut into equal parts, one for each device."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def put(tree: Any, where: Sharding) -> Any:
    """Arrays on their devices. NumPy's are copied: JAX reads such memory in place, and when the caller has gone on.

    What lies there stays as it is: to put it there again takes longer than to look, for each array of each epoch.
    """

    def placed(leaf: Any) -> Any:
        there = isinstance(leaf, jax.Array) and leaf.sharding == where
        return leaf if there else jax.device_put(leaf.copy() if isinstance(leaf, np.ndarray) else leaf, where)

    return jax.tree.map(placed, tree)


def share(mesh: Mesh, tree: Any) -> Any:
    """Inside a program: arrays shared over the devices where these divide the leading axis.

    What is computed from them is shared in the same way, and sums over the axis are sums over the devices.
    """
    return jax.tree.map(
        lambda leaf: leaf if len(leaf) % mesh.size else lax.with_sharding_constraint(leaf, shared(mesh)), tree
    )


def gather(mesh: Mesh, tree: Any) -> Any:
    """Inside a program: the whole of each array on each device, as the next program expects it."""
    return lax.with_sharding_constraint(tree, everywhere(mesh))
