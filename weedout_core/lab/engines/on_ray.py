"""Workers that are tasks of Ray, on this machine or on a cluster. Nothing of Ray is imported before it is asked for."""

import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from importlib import import_module
from typing import Any

from weedout_core.errors import ConfigError, RunError
from weedout_core.lab import signals

_GRACE = 60.0  # seconds in which tasks that are asked to end write their progress

#: What keeps Ray from sending reports and from writing to the user's terminal.
QUIET: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


def imported_ray() -> Any:
    """Ray, told to be quiet. Raises ConfigError where it is not installed."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        return import_module("ray")
    except ImportError as error:
        raise ConfigError(f"the engine ray needs Ray ({error}): pip install 'weedout-core[ray]'.") from error


class OnRay(Executor):
    """An executor of Ray's tasks. It joins a Ray that this process has begun, or begins one and ends it.

    Args:
        address: of a cluster; None begins a Ray of this machine, unless the environment names a cluster.
        cpus, gpus: the resources of a task, which Ray gives to no other meanwhile.
    Raises:
        ConfigError: Ray is not installed.
        RunError: Ray cannot be begun, or the cluster cannot be joined.
    """

    def __init__(self, address: str | None, cpus: float, gpus: float) -> None:
        self._ray = imported_ray()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            self._begin(address)
        self._call = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_called)
        self._running: dict[Future[Any], Any] = {}

    def _begin(self, address: str | None) -> None:
        local = {} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level="CRITICAL", **local)
        except Exception as error:  # of Ray, of its network, or of its own checks
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise RunError(f"Ray cannot be begun: {said} See --address.") from error
        finally:
            for number, handler in before.items():  # Ray's own end the process without a word
                signal.signal(number, handler)

    def share(self, value: Any) -> Any:
        """A value that every task needs, put into Ray's object store once; tasks are handed what is returned."""
        return self._ray.put(value)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Let a task call a function."""
        reference = self._call.remote(fn, *args, **kwargs)
        future: Future[Any] = reference.future()
        self._running[future] = reference
        future.add_done_callback(lambda done: done.cancelled() or self._running.pop(done, None))
        return future

    def stop(self) -> None:
        """Ask all tasks to end: they write their progress."""
        left = [*self._running.values()]
        with suppress(Exception):  # of a cluster that is gone
            for reference in left:
                self._ray.cancel(reference, force=False)
            if left:
                self._ray.wait(left, num_returns=len(left), timeout=_GRACE)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the Ray that this executor has begun."""
        if cancel_futures:
            self.stop()
        if self._ours:
            with suppress(Exception):
                self._ray.shutdown()


def _called(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a task does."""
    signals.begin()
    return fn(*args, **kwargs)
