"""The public names of the package itself, which ``weedout_core`` hands out when they are asked for."""

from weedout_core import ask_tell, backend, errors, nn, random, scores
from weedout_core._compaction.compaction import compact
from weedout_core._configs.open_points import Choice, choices
from weedout_core._configs.search_config import SearchConfig
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.loading import backend_names, load_backend
from weedout_core._masks.plan import mask_plan
from weedout_core._masks.scored import masks_from_scores
from weedout_core._networks.architectures import mlp, vgg, wide_resnet
from weedout_core._networks.by_depth import smart_ratio
from weedout_core._networks.cost import Costs, costs
from weedout_core._networks.erdos_renyi import erk
from weedout_core._networks.network import Network, mask_space
from weedout_core._phases.adopting import adopt
from weedout_core._phases.any_origin import candidate
from weedout_core._phases.ask_tell import Generation
from weedout_core._phases.beginning import Beginning, SearchBeginning
from weedout_core._phases.control import RandomControl, draw_control
from weedout_core._phases.evaluation import Evaluation, evaluate, evaluate_together
from weedout_core._phases.learning_phase import train, train_together
from weedout_core._phases.search_phase import SearchResult, search
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.trained import Epoch, Trained
from weedout_core._random.stream import SAMPLER_VERSION, key
from weedout_core.errors import WeedoutError, WeedoutWarning

__all__ = [
    "SAMPLER_VERSION",
    "Beginning",
    "Choice",
    "Costs",
    "Epoch",
    "Evaluation",
    "Generation",
    "Network",
    "RandomControl",
    "SearchBeginning",
    "SearchConfig",
    "SearchResult",
    "Subnetwork",
    "TrainConfig",
    "Trained",
    "WeedoutError",
    "WeedoutWarning",
    "adopt",
    "ask_tell",
    "backend",
    "backend_names",
    "candidate",
    "choices",
    "compact",
    "costs",
    "draw_control",
    "erk",
    "errors",
    "evaluate",
    "evaluate_together",
    "key",
    "load_backend",
    "mask_plan",
    "mask_space",
    "masks_from_scores",
    "mlp",
    "nn",
    "random",
    "scores",
    "search",
    "smart_ratio",
    "train",
    "train_together",
    "vgg",
    "wide_resnet",
]
