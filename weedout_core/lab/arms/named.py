"""Arms by their names."""

from weedout_core._configs.search_config import Control
from weedout_core.errors import ConfigError
from weedout_core.lab.arms.dense import DENSE, SMALL_DENSE
from weedout_core.lab.arms.paper import WEEDOUT, control
from weedout_core.lab.arms.scored import METHODS
from weedout_core.lab.experiment.arms import Arm

#: The name of the arm of random masks.
RANDOM = "random"
#: Arms that are compared as they are: there is nothing to take from them that would be a check of them.
REFERENCES = frozenset({WEEDOUT.name, RANDOM, DENSE.name, SMALL_DENSE.name})


def arm_named(name: str, kind: Control) -> Arm:
    """An arm of this library.

    Args:
        name: its name.
        kind: what a random network is, as in ``ExperimentConfig.control``.
    Raises:
        ConfigError: there is none of this name.
    """
    arms = {arm.name: arm for arm in (WEEDOUT, control(RANDOM, kind), DENSE, SMALL_DENSE, *METHODS.values())}
    if name not in arms:
        raise ConfigError(
            f"a method must be one of {', '.join(arms)}; got {name!r}. Hand in a function of your own (--arm "
            "module:function; in Python the function itself), or a folder of masks (--masks FOLDER; a pathlib.Path)."
        )
    return arms[name]
