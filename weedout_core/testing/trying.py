"""How a check tries its examples: an error names the example, and a check without any says that it tried nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from inspect import signature
from typing import Any, TypeVar
from unittest import SkipTest

from weedout_core.errors import BackendError
from weedout_core.testing.written import written

_Case = TypeVar("_Case")

#: What finds out why an example fails, from the arguments of the example. It may take as long as many examples.
Explain = Callable[..., str]


class NothingToTry(SkipTest):
    """A check has no example for a backend: it neither passes nor fails, and a test that runs it is skipped."""


def some(cases: Iterable[_Case]) -> list[_Case]:
    """The cases of a check. Raises NothingToTry if there are none."""
    if found := list(cases):
        return found
    raise NothingToTry("the backend computes the layers of no network that this check has.")


@contextmanager
def unless_refused() -> Iterator[None]:
    """Try what a backend may refuse, by a BackendError: then there is nothing to try."""
    try:
        yield
    except BackendError as refused:
        raise NothingToTry(f"the backend refuses it: {refused}") from refused


@contextmanager
def trying(explain: Explain | None = None, /, **example: Any) -> Iterator[None]:
    """Name the example in whatever error comes out of the block.

    Args:
        explain: what can say why the example fails; :func:`explanation` calls it.
        example: the arguments of the example, by name.
    """
    try:
        yield
    except NothingToTry:
        raise
    except Exception as error:
        error.add_note(f"for {', '.join(f'{name}={written(value)}' for name, value in example.items())}")
        if explain is not None:
            vars(error)["explain"] = partial(explain, **example)
        raise


def explanation(error: BaseException) -> Callable[[], str]:
    """What finds out why an example failed, in some sentences, if its check can; else it gives ""."""
    return vars(error).get("explain", str)


def told(property_: Callable[..., None], explain: Explain | None = None) -> Callable[[], None]:
    """A property of Hypothesis that names the example for which it fails, on one line, and can explain it."""
    handle: Any = property_
    test = handle.hypothesis.inner_test
    parameters = signature(test)

    @wraps(test)
    def tried(*arguments: Any, **named: Any) -> None:
        with trying(explain, **parameters.bind(*arguments, **named).arguments):
            test(*arguments, **named)

    handle.hypothesis.inner_test = tried
    return property_
