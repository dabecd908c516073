"""Every error this library raises on purpose. Each message says what was required, what was received, what to do."""


class WeedoutError(Exception):
    """The parent of all errors below: catch it to catch any of them."""


class ConfigError(WeedoutError, ValueError):
    """A configuration or an argument is outside its range."""


class MaskError(WeedoutError, ValueError):
    """A mask does not fit the network: its site (Mask layer) is unknown or missing, or its shape or dtype is wrong."""


class DataError(WeedoutError, ValueError):
    """Examples or labels, or the file they come from, cannot be used."""


class SearchError(WeedoutError, RuntimeError):
    """A search cannot go on: no candidate has a finite fitness."""


class BackendError(WeedoutError):
    """A backend is unknown, or asked for something it does not have."""


class BackendNotInstalledError(BackendError, ImportError):
    """A backend is registered, but what it needs cannot be imported."""


class RunError(WeedoutError):
    """A run folder cannot be used: it holds another run, is in use, or is damaged."""


class WorkerError(RunError):
    """Workers could not compute some groups of a run; all others are committed."""


class WeedoutWarning(UserWarning):
    """Something was done that the caller may not expect, such as keeping one node where all would be removed."""


__all__ = [
    "BackendError",
    "BackendNotInstalledError",
    "ConfigError",
    "DataError",
    "MaskError",
    "RunError",
    "SearchError",
    "WeedoutError",
    "WeedoutWarning",
    "WorkerError",
]


def __dir__() -> list[str]:
    return __all__
