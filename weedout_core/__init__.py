"""Weedout: Random Search over sparse sub-networks, the neutral baseline for sparsity searches (arXiv:2403.08265).

Here are the functions that a user calls and the records that they return. Six namespaces hold the rest: ``nn`` has
layers and networks, ``random`` the random stream, ``ask_tell`` the search driven by hand, ``scores`` what other methods
rate nodes by, ``backend`` what the author of a backend needs, and ``errors`` all errors.

The names are imported when the first of them is asked for, so that the command hears Ctrl-C before that takes time.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from weedout_core._names import *  # noqa: F403 (it names them all in __all__)

__version__ = "0.1.0"


def __getattr__(name: str) -> typing.Any:
    names = importlib.import_module("weedout_core._names")
    public = {one: getattr(names, one) for one in ["__all__", *names.__all__]}
    if name not in public:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals().update(public)
    return public[name]


def __dir__() -> list[str]:
    return __getattr__("__all__")
