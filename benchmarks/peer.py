"""A tool that scores a population."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Peer(NamedTuple):
    """A tool that scores a population.

    Attributes:
        run: what is timed; it returns the fitness of every candidate when it is on the host.
        check: the fitness of the task's own masks, by the same arithmetic; None where ``run`` gives that.
    """

    run: Callable[[], np.ndarray]
    check: Callable[[], np.ndarray] | None = None


class NotExpressible(Exception):
    """The tool cannot express this search. The text says why."""
