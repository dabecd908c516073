"""The processes that compute together: how this one joins them, and what they tell each other, as arrays."""

import socket
import time
from contextlib import suppress
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from weedout_core.backend import ALONE, Peers
from weedout_core.errors import BackendError
from weedout_jax.fence import our_settings

AUTO = "auto"
WAIT = 300.0  # seconds in which all processes must have come
_HEARTBEAT = 40  # seconds without a sign of life after which a process counts as lost
_LEAVE = 3600  # seconds in which process 0 writes what it has
#: Settings of JAX: the first takes SIGTERM from whoever handles it, the second warns wherever NO_PROXY is set.
_OFF = ("jax_enable_preemption_service", "jax_check_proxy_envs")
_MESSAGE = 1000  # bytes that each process tells all others at once
_BLOCK = 2**12  # bytes: what is broadcast is filled up to a multiple, so that few programs are compiled


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Join the processes that compute together, unless this one has joined them before.

    Args:
        coordinator: where process 0 is reached, as HOST:PORT; "auto" takes what the platform knows, such as a slice of
            TPUs; None joins no others.
        processes: how many there are.
        process: the number of this one, in [0, processes).
    Raises:
        BackendError: these do not fit each other, process 0 does not answer in time, its port is taken, or this process
            has computed before.
    """
    _check(coordinator, processes, process)
    if coordinator is None or jax.distributed.is_initialized():
        return
    where: dict[str, Any] = {}
    if coordinator != AUTO:
        host, _, port = coordinator.rpartition(":")
        _answers(host, int(port)) if process else _check_free(int(port))
        # Without a look at the platform: it may allot each process one device of those that it has.
        where = {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
        where |= {"cluster_detection_method": "deactivate"}
    for name in _OFF:
        with suppress(AttributeError):  # this version of JAX does not have it
            jax.config.update(name, False)
    try:
        jax.distributed.initialize(
            **where,
            initialization_timeout=int(WAIT),
            heartbeat_timeout_seconds=_HEARTBEAT,
            shutdown_timeout_seconds=_LEAVE,
        )
    except (RuntimeError, ValueError) as error:
        why = next(iter(str(error).splitlines()), "it gives no reason").removesuffix(".")
        raise BackendError(
            f"JAX cannot join the processes of coordinator {coordinator!r}: {why}. Give --coordinator HOST:PORT, "
            "--processes and --process, before anything else uses JAX."
        ) from error


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Raise BackendError unless the arguments of :func:`join` fit each other."""
    given = (processes is not None) + (process is not None)
    if coordinator in (None, AUTO):
        if given:
            raise BackendError(
                f"processes and process need a coordinator HOST:PORT; got coordinator {coordinator!r}, processes "
                f"{processes}, process {process}. Give it, or leave them out."
            )
        return
    host, _, port = str(coordinator).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise BackendError(
            f'coordinator must be HOST:PORT, where process 0 runs, or "auto"; got {coordinator!r}. Take a free port, '
            "such as 8476."
        )
    if given < 2 or not 0 <= (process or 0) < (processes or 0):
        raise BackendError(
            "a coordinator HOST:PORT needs processes, how many there are, and process, the number of this one from 0, "
            f"which is less; got processes {processes}, process {process}. Give both."
        )


def _answers(host: str, port: int) -> None:
    """Wait for process 0. Raises BackendError if it does not answer in time: JAX would abort."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((host.strip("[]"), port), timeout=10):
            return
        time.sleep(0.2)
    raise BackendError(
        f"the coordinator must answer within {WAIT:g} seconds; {host}:{port} does not. Start process 0 there, with the "
        "same --coordinator, and see that the port is open."
    )


def _check_free(port: int) -> None:
    """Raise BackendError if process 0 cannot listen at a port: JAX would abort."""
    family = socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=socket.has_dualstack_ipv6()).close()
    except OSError as error:
        raise BackendError(
            f"process 0 must listen at the port of the coordinator; {port} cannot be had ({error.strerror}). Give "
            "every process another port."
        ) from error


def peers() -> Peers:
    """The processes that this one has joined.

    Raises:
        BackendError: they have different numbers of devices.
    """
    count = jax.process_count()
    if count == 1:
        return ALONE
    if jax.device_count() != count * jax.local_device_count():
        raise BackendError(
            f"each of the {count} processes must have the same number of devices; this one has "
            f"{jax.local_device_count()} of {jax.device_count()}. Leave out the host that has others."
        )
    return Peers(jax.process_index(), count, _broadcast, _gather, jax.distributed.shutdown)


def _broadcast(content: bytes) -> bytes:
    with our_settings():
        size = int(multihost_utils.broadcast_one_to_all(np.array([len(content)], np.int32))[0])
        padded = np.zeros(-(-size // _BLOCK) * _BLOCK, np.uint8)
        if jax.process_index() == 0:
            padded[:size] = np.frombuffer(content, np.uint8)
        return np.asarray(multihost_utils.broadcast_one_to_all(padded))[:size].tobytes() if size else b""


def _gather(message: bytes) -> list[bytes]:
    padded = np.frombuffer(message[:_MESSAGE].ljust(_MESSAGE, b"\0"), np.uint8)
    with our_settings():
        return [row.tobytes().rstrip(b"\0") for row in np.asarray(multihost_utils.process_allgather(padded))]
