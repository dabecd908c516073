"""Few examples: a step of SGD is wrong under some values of some options."""

from tests.mutants.body import FEW
from tests.mutants.witnesses import FLAT, trains

edit = FEW.edits("train_epoch", "training")

_G = "    g = gradient + decay * weight\n"
_V = "    v = config.momentum * velocity + g\n"
_MOVE = "return weight - rate * (g + config.momentum * v if config.nesterov else v), v"
_DECAYED = trains(FLAT, weight_decay=0.1, momentum=0.9)


# One step of SGD.
edit(
    "decay_decoupled",
    "weights are shrunk by rate * decay beside the step, as in AdamW",
    _DECAYED,
    (_G, "    g = gradient\n"),
    ("return weight - rate * (g", "return weight - rate * decay * weight - rate * (g"),
)
edit(
    "decay_without_rate",
    "weights are shrunk by decay itself, not by rate * decay",
    trains(FLAT, weight_decay=0.1),
    (_G, "    g = gradient\n"),
    ("return weight - rate", "return (1 - decay) * weight - rate"),
)
edit(
    "decay_outside_the_velocity",
    "decay enters the step and not the velocity",
    _DECAYED,
    (_V, "    v = config.momentum * velocity + gradient\n"),
    ("config.nesterov else v), v", "config.nesterov else v + decay * weight), v"),
)
edit(
    "decay_doubled",
    "decay is the derivative of decay * w^2, twice what is meant",
    trains(FLAT, weight_decay=0.1),
    ("gradient + decay * weight", "gradient + 2 * decay * weight"),
)
edit(
    "decay_of_the_sign",
    "decay of the absolute values (L1)",
    trains(FLAT, weight_decay=0.1),
    ("gradient + decay * weight", "gradient + decay * np.sign(weight)"),
)
edit(
    "decay_only_where_there_is_a_gradient",
    "a weight whose gradient is 0, of a removed node, is not decayed",
    trains(FLAT, weight_decay=0.1),
    ("gradient + decay * weight", "gradient + decay * weight * (gradient != 0)"),
)
edit(
    "decay_spares_convolutions",
    "kernels with four axes are not decayed",
    trains(weight_decay=0.1),
    ('path.endswith("/kernel")', 'path.endswith("/kernel") and weight.ndim == 2'),
)
edit(
    "decay_of_all_but_biases",
    "the scales of batch normalisation are decayed with the kernels",
    trains(weight_decay=0.1),
    ('path.endswith("/kernel")', 'not path.endswith("/bias")'),
)
edit(
    "decay_of_all_spares_biases",
    'decayed="all" leaves the biases out',
    trains(weight_decay=0.1, decayed="all"),
    ('config.decayed == "all" or', '(config.decayed == "all" and not path.endswith("/bias")) or'),
)
edit(
    "decay_of_all_spares_norms",
    'decayed="all" leaves batch normalisation out',
    trains(weight_decay=0.1, decayed="all"),
    ('config.decayed == "all" or', '(config.decayed == "all" and path[:-5] + "/scale" not in params) or'),
)
edit(
    "dampened",
    "v = momentum * v + (1 - momentum) * g",
    trains(FLAT, momentum=0.5),
    (_V, "    v = config.momentum * velocity + (1 - config.momentum) * g\n"),
)
edit(
    "rate_inside_the_velocity",
    "the rate is inside the velocity, which matters once it changes",
    trains(FLAT, momentum=0.5),
    (_V, "    v = config.momentum * velocity + rate * g\n"),
    ("weight - rate * (g + config.momentum * v", "weight - (rate * g + config.momentum * v"),
)
edit(
    "nesterov_the_other_way_round",
    "the step is v + momentum * g",
    trains(FLAT, momentum=0.5, nesterov=True),
    ("(g + config.momentum * v if", "(v + config.momentum * g if"),
)
edit(
    "nesterov_without_decay",
    "Nesterov's step takes the gradient before decay was added",
    trains(FLAT, momentum=0.5, nesterov=True, weight_decay=0.1),
    ("(g + config.momentum * v if", "(gradient + config.momentum * v if"),
)
edit(
    "nesterov_twice",
    "the velocity that is kept looks ahead too",
    trains(FLAT, momentum=0.5, nesterov=True),
    ("else v), v", "else v), g + config.momentum * v if config.nesterov else v"),
)
edit(
    "no_velocity_without_momentum",
    "velocities stay 0 where the momentum is 0; the contract has v = g",
    trains(FLAT, momentum=0.0),
    ("config.nesterov else v), v", "config.nesterov else v), v if config.momentum else 0 * v"),
)
edit(
    "momentum_falsy_is_the_default",
    "a momentum of 0 is taken for one that was not given, 0.9",
    trains(FLAT),
    (_V, "    v = (config.momentum or 0.9) * velocity + g\n"),
)
edit(
    "clipped_gradient",
    "gradients are cut to [-1, 1]",
    trains(FLAT, prepare=lambda given: given.x.__imul__(10)),
    (_G, _G.replace("gradient", "gradient.clip(-1, 1)", 1)),
)
