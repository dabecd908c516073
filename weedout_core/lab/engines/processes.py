"""Workers that are processes of this machine: an executor that starts a worker again where one was lost.

Each worker has a thread here, which hands it one call after another through a pipe. The executor of Python's library
breaks as a whole when one of its processes ends, by the system for want of memory, say.
"""

import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from queue import Empty, SimpleQueue
from typing import Any

from weedout_core.errors import RunError
from weedout_core.lab import signals

_GRACE = 60.0  # seconds in which a worker that is asked to end writes its progress
_starting = threading.Lock()


class Processes(Executor):
    """An executor with spawned processes as workers.

    Args:
        workers: how many.
        variables: the environment variables that a worker has besides this process's, by its number from 0.
    """

    def __init__(self, workers: int, variables: Callable[[int], Mapping[str, str]] = lambda number: {}) -> None:
        self._variables = variables
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._running: dict[int, SpawnProcess] = {}
        self._stopped = False
        self._threads = [threading.Thread(target=self._serve, args=(n,), daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Let a worker call a function. Where its worker is lost, the future raises RunError."""
        future: Future[Any] = Future()
        self._calls.put((future, partial(fn, *args, **kwargs)))
        return future

    def stop(self) -> None:
        """Ask all workers to end: they write their progress, and what they were computing is lost to its future."""
        self._stopped = True
        self._drop()
        running = [*self._running.values()]
        for process in running:
            process.terminate()
        for process in running:
            process.join(_GRACE)
            process.kill()
            process.join()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers end when they have computed what was submitted."""
        if cancel_futures:
            self._drop()
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _drop(self) -> None:
        with suppress(Empty):
            while True:
                if (call := self._calls.get_nowait()) is not None:
                    call[0].cancel()

    def _serve(self, number: int) -> None:
        """Hand calls to one worker, until there are no more."""
        pipe: connection.Connection | None = None
        while (call := self._calls.get()) is not None:
            future, function = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if pipe is None:
                    pipe = self._start(number)
                pipe.send(function)
                future.set_result(self._answer(number, pipe))
            except (RunError, OSError, EOFError) as error:
                pipe = None
                future.set_exception(error if isinstance(error, RunError) else RunError(self._lost(number)))
            except BaseException as error:  # it cannot be sent
                future.set_exception(error)
        if pipe is not None:
            pipe.close()
            self._running.pop(number).join()

    def _start(self, number: int) -> "connection.Connection":
        if self._stopped:
            raise RunError("the workers are ending.")
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        with _starting, _inherited(self._variables(number)):
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
        theirs.close()
        self._running[number] = process
        return ours

    def _answer(self, number: int, pipe: "connection.Connection") -> Any:
        connection.wait([pipe, self._running[number].sentinel])
        if not pipe.poll():
            raise RunError(self._lost(number))
        return pipe.recv()

    def _lost(self, number: int) -> str:
        process = self._running.pop(number)
        process.join(1.0)
        code = process.exitcode
        how = (
            f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"
        )
        memory = ", as a system does that is out of memory" if code == -signal.SIGKILL else ""
        return f"the worker {how}{memory}."


def _work(pipe: "connection.Connection") -> None:
    """What a worker does: it calls what it is sent, until it is asked to end or this process is gone."""
    signals.hear()
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            pipe.send(pipe.recv()())
    signals.end_begins()
    os._exit(0)  # a library that was left in the middle of a call may crash at the interpreter's end


def _end_with_the_driver() -> None:
    driver = parent_process()
    if driver is not None:
        connection.wait([driver.sentinel])
        os._exit(1)


@contextmanager
def _inherited(variables: Mapping[str, str]) -> Generator[None]:
    """What a process inherits that is started here: variables, and that Ctrl-C is for this process alone."""
    before = dict(os.environ)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if hasattr(signal, "pthread_sigmask") else None
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
