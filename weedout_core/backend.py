"""What the author of a backend needs: the record, the types of its functions, and definitions of the core to use."""

from weedout_core._algorithm.fitness import FITNESS, accuracy, correct_classes, negative_cross_entropy, predictions
from weedout_core._algorithm.limited import LimitedTraining
from weedout_core._algorithm.population import Origin, Population, chunk_size, draw_population
from weedout_core._algorithm.schedule import (
    CROP_MARGIN,
    Batches,
    TrainPlan,
    check_plan,
    decayed_paths,
    epoch_batches,
    learning_rates,
    noise_words,
    train_plan,
)
from weedout_core._compaction.compacted_network import CompactedNetwork
from weedout_core._compaction.compaction import kept_indices, split_at_first_mask
from weedout_core._compaction.kernels import Products, own_arrays, products
from weedout_core._compaction.room import Room, compacted, counted_room, counted_sites, filled, known_room, likely_room
from weedout_core._configs.open_points import Precision
from weedout_core._configs.planning import search_plan
from weedout_core._contract.calls import (
    Array,
    AsArray,
    DrawParameters,
    EpochResult,
    KeepSmallest,
    MasksFromKeys,
    Parameters,
    Predict,
    RandomBits,
    ScoredBatch,
    ScorePopulation,
    Scoring,
    Specs,
    ToNumpy,
    TrainEpoch,
    TrainInit,
    TrainState,
)
from weedout_core._contract.memory import share_of_memory
from weedout_core._contract.optional_calls import Adopt, CompiledMemory, CompileSeconds, MaskGradient, ScoreTrained
from weedout_core._contract.peers import ALONE, Peers
from weedout_core._contract.process_settings import ProcessSetting, ProcessSettings
from weedout_core._contract.record import Backend, check_layers, map_tree
from weedout_core._contract.sgd import sgd_step
from weedout_core._guard.failures import own_failure
from weedout_core._guard.hosted import host_array, host_view
from weedout_core._guard.showing import shown
from weedout_core._masks.allocation import Allocation, Space, Sparsity
from weedout_core._masks.plan import (
    MaskPlan,
    Masks,
    Sampling,
    SitePlan,
    achieved_sparsity,
    masks_from_keys,
)
from weedout_core._networks.examples import Examples
from weedout_core._networks.models import Adopted, Follows, Held, Model, Place
from weedout_core._networks.network import adopted
from weedout_core._phases.ask_tell import best_overall
from weedout_core._phases.search_phase import check_search
from weedout_core._random.smallest import keep_smallest, order_keys
from weedout_core._random.threads import side_by_side

__all__ = [
    "ALONE",
    "CROP_MARGIN",
    "FITNESS",
    "Adopt",
    "Adopted",
    "Allocation",
    "Array",
    "AsArray",
    "Backend",
    "Batches",
    "CompactedNetwork",
    "CompileSeconds",
    "CompiledMemory",
    "DrawParameters",
    "EpochResult",
    "Examples",
    "Follows",
    "Held",
    "KeepSmallest",
    "LimitedTraining",
    "MaskGradient",
    "MaskPlan",
    "Masks",
    "MasksFromKeys",
    "Model",
    "Origin",
    "Parameters",
    "Peers",
    "Place",
    "Population",
    "Precision",
    "Predict",
    "ProcessSetting",
    "ProcessSettings",
    "Products",
    "RandomBits",
    "Room",
    "Sampling",
    "ScorePopulation",
    "ScoreTrained",
    "ScoredBatch",
    "Scoring",
    "SitePlan",
    "Space",
    "Sparsity",
    "Specs",
    "ToNumpy",
    "TrainEpoch",
    "TrainInit",
    "TrainPlan",
    "TrainState",
    "accuracy",
    "achieved_sparsity",
    "adopted",
    "best_overall",
    "check_layers",
    "check_plan",
    "check_search",
    "chunk_size",
    "compacted",
    "correct_classes",
    "counted_room",
    "counted_sites",
    "decayed_paths",
    "draw_population",
    "epoch_batches",
    "filled",
    "host_array",
    "host_view",
    "keep_smallest",
    "kept_indices",
    "known_room",
    "learning_rates",
    "likely_room",
    "map_tree",
    "masks_from_keys",
    "negative_cross_entropy",
    "noise_words",
    "order_keys",
    "own_arrays",
    "own_failure",
    "predictions",
    "products",
    "search_plan",
    "sgd_step",
    "share_of_memory",
    "shown",
    "side_by_side",
    "split_at_first_mask",
    "train_plan",
]


def __dir__() -> list[str]:
    return __all__
