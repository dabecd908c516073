"""What is decided once, when a run begins, and does not depend on who computes it later."""

import warnings
from bisect import bisect_right
from typing import NamedTuple

from weedout_core import Network, mask_plan, mask_space
from weedout_core.backend import Backend, chunk_size
from weedout_core.errors import WeedoutWarning
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.memory import training_bytes, usable
from weedout_core.lab.experiment.threads import decided_threads


class Decided(NamedTuple):
    """What is decided once for each run and kept in its record, because floats may depend on it in their last bits.

    Attributes:
        chunk: the number of candidates whose masks exist at once while scoring.
        together: the number of networks trained at once.
        threads: the number of threads that compute on a CPU; None on another device.
    """

    chunk: int
    together: int
    threads: int | None = None


def decide(config: ExperimentConfig, net: Network, backend: Backend, examples: int, networks: int) -> Decided:
    """What is decided when a run begins. Arguments and warnings are those of :func:`resolve_together`.

    Raises:
        ConfigError: a number of threads is asked for where it has no effect.
    """
    # How many nodes a mask has does not depend on how many it removes.
    chunk = chunk_size(mask_plan(mask_space(net), 0.0), config.search)
    together = resolve_together(config, net, backend, examples, networks)
    return Decided(chunk, together, decided_threads(config.threads, backend))


def resolve_together(config: ExperimentConfig, net: Network, backend: Backend, examples: int, networks: int) -> int:
    """How many networks are trained at once: ``config.together``, or an estimate of how many fit the device's memory.

    This is decided once for each run. The estimate is for the dense parent, so it is the same for all sparsities. If
    not all networks fit, they are trained in as few parts as possible, of equal size: if 6 of 10 fit, two parts of 5.

    Args:
        config: the experiment.
        net: its parent.
        backend: the backend; if it does not know its memory, all networks are trained at once.
        examples: the number of examples on the device while training: training and test split together.
        networks: how many networks a group has: its arms times its repeats.
    Warns:
        WeedoutWarning: not even one network is estimated to fit; networks are then trained one at a time.
    """
    if config.together is not None or backend.memory is None:
        return min(config.together or networks, networks)

    def needed(together: int) -> int:
        return training_bytes(net, config.train, examples, config.devices, together)

    most = usable(backend.memory)
    fit = bisect_right(range(1, networks + 1), most, key=needed)
    if fit == 0:
        warnings.warn(
            f"training one network on batches of {config.train.batch_size:,} examples is estimated to take "
            f"{needed(1) / 2**30:.2f} GiB, and {backend.device} has {most / 2**30:.2f} GiB for it (half of its "
            "memory). Networks are trained one at a time, and memory may run out. If it does, lower batch_size or "
            "raise devices.",
            WeedoutWarning,
            stacklevel=2,
        )
    cuts = -(-networks // max(1, fit))
    return -(-networks // cuts)
