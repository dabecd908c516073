"""Weedout: Random Search over sparse sub-networks, the neutral baseline for sparsity searches (arXiv:2403.08265)."""

from weedout_core._architectures import mlp, vgg, wide_resnet
from weedout_core._backend import Backend
from weedout_core._calls import EpochResult, TrainState
from weedout_core._compaction import compact, kept_indices, split_at_first_mask
from weedout_core._config import Choice, SearchConfig, TrainConfig, choices
from weedout_core._costs import Costs, costs
from weedout_core._errors import (
    BackendError,
    BackendNotInstalledError,
    ConfigError,
    DataError,
    MaskError,
    RunError,
    SearchError,
    WeedoutError,
    WeedoutWarning,
)
from weedout_core._evaluate import Evaluation, evaluate, evaluate_together
from weedout_core._fitness import FITNESS, accuracy, negative_cross_entropy, predictions
from weedout_core._initial import ParameterSpec, he_normal
from weedout_core._kept import Compaction
from weedout_core._layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
    every_layer,
)
from weedout_core._loading import backend_names, load_backend
from weedout_core._masks import (
    MaskPlan,
    SitePlan,
    achieved_sparsity,
    mask_plan,
    masks_from_keys,
)
from weedout_core._memory import share_of_memory
from weedout_core._networks import (
    Network,
    activation_shapes,
    initial_statistics,
    mask_space,
    network_from_json,
    network_to_json,
    parameter_shapes,
)
from weedout_core._population import Origin, Population
from weedout_core._products import Products, products
from weedout_core._random import SAMPLER_VERSION, Stream, bits, bits_at, fold_in, key, split
from weedout_core._schedule import (
    CROP_MARGIN,
    Batches,
    TrainPlan,
    decayed_paths,
    epoch_batches,
    epoch_crops,
    epoch_order,
    learning_rates,
    train_plan,
)
from weedout_core._search import Generation, SearchState, ask, calibration_batch, finished, init, tell, validation_batch
from weedout_core._selection import random_search, select
from weedout_core._sgd import sgd_step
from weedout_core._smallest import keep_smallest, order_keys
from weedout_core._threads import side_by_side
from weedout_core._train import Epoch, Trained, train, train_together
from weedout_core._weedout import Candidate, SearchResult, draw_control, search

__version__ = "0.1.0"

__all__ = [
    "CROP_MARGIN",
    "FITNESS",
    "SAMPLER_VERSION",
    "Backend",
    "BackendError",
    "BackendNotInstalledError",
    "BatchNorm",
    "Batches",
    "Candidate",
    "Choice",
    "Compaction",
    "ConfigError",
    "Conv",
    "Costs",
    "DataError",
    "Dense",
    "Epoch",
    "EpochResult",
    "Evaluation",
    "Flatten",
    "Gather",
    "Generation",
    "GlobalAveragePool",
    "Layer",
    "Mask",
    "MaskError",
    "MaskPlan",
    "MaxPool",
    "Network",
    "Origin",
    "ParameterSpec",
    "Population",
    "Products",
    "Relu",
    "Residual",
    "RunError",
    "Scale",
    "SearchConfig",
    "SearchError",
    "SearchResult",
    "SearchState",
    "SitePlan",
    "Stream",
    "TrainConfig",
    "TrainPlan",
    "TrainState",
    "Trained",
    "WeedoutError",
    "WeedoutWarning",
    "accuracy",
    "achieved_sparsity",
    "activation_shapes",
    "ask",
    "backend_names",
    "bits",
    "bits_at",
    "calibration_batch",
    "choices",
    "compact",
    "costs",
    "decayed_paths",
    "draw_control",
    "epoch_batches",
    "epoch_crops",
    "epoch_order",
    "evaluate",
    "evaluate_together",
    "every_layer",
    "finished",
    "fold_in",
    "he_normal",
    "init",
    "initial_statistics",
    "keep_smallest",
    "kept_indices",
    "key",
    "learning_rates",
    "load_backend",
    "mask_plan",
    "mask_space",
    "masks_from_keys",
    "mlp",
    "negative_cross_entropy",
    "network_from_json",
    "network_to_json",
    "order_keys",
    "parameter_shapes",
    "predictions",
    "products",
    "random_search",
    "search",
    "select",
    "sgd_step",
    "share_of_memory",
    "side_by_side",
    "split",
    "split_at_first_mask",
    "tell",
    "train",
    "train_plan",
    "train_together",
    "validation_batch",
    "vgg",
    "wide_resnet",
]
