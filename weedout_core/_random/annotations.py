"""The shapes of keys in annotations, without what importing jaxtyping costs: twice the rest of the core together."""

import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    # Type checkers read it, and whoever checks shapes at run time has imported it before.
    from jaxtyping import UInt32
else:

    class UInt32:
        """Stands in for jaxtyping's: ``UInt32[array, shape]`` is the array."""

        def __class_getitem__(cls, item: tuple[type, str]) -> type:
            return item[0]


Key = UInt32[np.ndarray, "2"]
Keys = UInt32[np.ndarray, "*batch 2"]
