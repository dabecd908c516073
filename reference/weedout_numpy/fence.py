"""What the caller may have set in SciPy, and what it is while a call of the reference runs.

NumPy's settings are fenced for every backend, by the record.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from scipy.special import errstate  # pyright: ignore[reportMissingTypeStubs]

#: What is entered: an underflow in a special function is no error.
THREAD: Mapping[str, Callable[[], AbstractContextManager[object]]] = {"errors": lambda: errstate(all="ignore")}


def our_settings() -> AbstractContextManager[object]:
    """All of these."""
    return THREAD["errors"]()
