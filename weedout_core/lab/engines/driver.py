"""The driver: it hands groups to an executor and takes them in whatever order they are done."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any

from weedout_core.errors import RunError
from weedout_core.lab.engines.job import Done, Failed
from weedout_core.lab.experiment.groups import Group

_TRIES = 3  # of a group whose worker is lost
_OFTEN = 0.2  # seconds, after which what goes on meanwhile is looked at again

Submit = Callable[[Executor, Group], "Future[Done | Failed]"]


def drive(
    executor: Executor,
    submit: Submit,
    groups: Sequence[Group],
    take: Callable[[Group, Done | Failed], None],
    most: int,
    again: Callable[[Group, str], None] = lambda group, why: None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Compute groups, and take each as soon as it is done. One whose worker was lost is computed again.

    Args:
        executor: any.
        submit: submits a group to it.
        groups: in the order in which they are begun.
        take: called in this thread with each group and what became of it.
        most: how many are submitted at once, so that results do not pile up and none waits in vain when the run ends.
        again: called with each group that is to be computed again, and why.
        meanwhile: called several times a second, and before a group is taken.
    """
    waiting, running, tries = deque(groups), dict[Future[Any], Group](), Counter[Group]()
    try:
        while waiting or running:
            while waiting and len(running) < most:
                group = waiting.popleft()
                tries[group] += 1
                running[submit(executor, group)] = group
            done = wait(running, _OFTEN, FIRST_COMPLETED).done
            meanwhile()
            for future in [one for one in running if one in done]:  # in the order in which they were begun
                group, lost = running.pop(future), future.exception()
                if lost is None:
                    take(group, future.result())
                elif tries[group] < _TRIES:
                    again(group, _why(lost))
                    waiting.append(group)
                else:
                    take(group, Failed("", f"{_why(lost)} It was tried {_TRIES} times."))
    except BaseException:
        for future in [*running]:
            if not future.cancel() and future.done() and future.exception() is None:
                take(running[future], future.result())
        raise


def _why(lost: BaseException) -> str:
    return str(lost) if isinstance(lost, RunError) else f"{type(lost).__name__}: {lost}".split("\n")[0]
