"""Fence: settings of the caller that a call must not depend on. Algorithm 1 does not need this file.

NumPy and SciPy can be told to raise an error where a number underflows, and such a setting of the caller's would change
what a backend does. While a call of a backend runs, its own settings hold. Those of NumPy are the same for all backends
and stand in ``weedout_core``; those of SciPy, from which ``randomness`` has one function, stand here.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from scipy.special import errstate  # pyright: ignore[reportMissingTypeStubs]

#: Each setting of the thread, and the context that holds it: an underflow in a special function is no error.
THREAD: Mapping[str, Callable[[], AbstractContextManager[object]]] = {"errors": lambda: errstate(all="ignore")}


def our_settings() -> AbstractContextManager[object]:
    """The context in which a call runs: it holds the settings of ``THREAD``."""
    return THREAD["errors"]()
