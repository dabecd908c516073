"""What a generation is scored on: its validation batch, and where batch normalisation takes its statistics."""

from collections.abc import Mapping

import numpy as np

from weedout_core._configs.search_config import SearchConfig
from weedout_core._contract.calls import ScoredBatch
from weedout_core._contract.record import Backend, map_tree
from weedout_core._networks.examples import Examples
from weedout_core._phases.validation_batches import calibration_batch, validation_batch
from weedout_core._random.annotations import Key


def scored_batch(
    backend: Backend,
    data: Examples,
    key: Key,
    generation: int,
    config: SearchConfig,
    running: Mapping[str, np.ndarray],
) -> ScoredBatch:
    """The validation batch of a generation, on the device.

    Args:
        backend: whose device it is.
        data: the validation split, on the host.
        key: the root key of the search.
        generation: the number of the generation.
        config: of the search.
        running: the running statistics, which ``batch_norm="running"`` takes, in NumPy.
    """
    examples, asarray = len(data.y), backend.asarray
    chosen = validation_batch(key, generation, examples, config)
    batch = ScoredBatch(asarray(data.x[chosen]), asarray(data.y[chosen]))
    match config.batch_norm:
        case "batch":
            return batch
        case "running":
            return batch._replace(statistics=map_tree(asarray, running))
        case "recalibrated":
            others = calibration_batch(key, generation, examples, config)
            return batch._replace(calibration=asarray(data.x[others]))
