"""bfloat16: mutants that train wrongly only where products are to be in bfloat16.

What an option does there is tried on NumPy, which multiplies in double precision whatever is asked; where numbers are
rounded that should not be, on JAX.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import BFLOAT16, OPTIONS_OF_BFLOAT16
from tests.mutants.witnesses import FLAT, IMAGES, Given, trains
from weedout_core import Network, TrainConfig
from weedout_core.backend import Backend, map_tree
from weedout_core.nn import BatchNorm, Dense, Mask, Relu


def in_bfloat16(plan: Any) -> bool:
    """Whether products are to be in bfloat16."""
    return plan.config.compute == "bfloat16"


def option(name: str, reason: str, witness: Any, change: Callable[[TrainConfig], TrainConfig]) -> None:
    """Add a backend that takes other values of some options in bfloat16."""

    def changed(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        return net, plan._replace(config=change(plan.config)) if in_bfloat16(plan) else plan, *rest

    def wrong(backend: Backend) -> Backend:
        return with_arguments(backend, "train_epoch", changed)

    OPTIONS_OF_BFLOAT16.wrapped(name, "train_epoch", f"in bfloat16 {reason}", witness, wrong)


def _half(net: Network = FLAT, **config: Any) -> Any:
    return trains(net, compute="bfloat16", epochs=1, **config)


option(
    "bfloat16_without_momentum",
    "there is no momentum",
    trains(FLAT, compute="bfloat16", momentum=0.9),
    lambda config: replace(config, momentum=0.0),
)
option(
    "bfloat16_without_nesterov",
    "momentum is never Nesterov's",
    _half(momentum=0.9, nesterov=True),
    lambda config: replace(config, nesterov=False),
)
option(
    "bfloat16_without_decay",
    "nothing is decayed",
    _half(weight_decay=0.1),
    lambda config: replace(config, weight_decay=0.0, decayed="weights"),
)
option(
    "bfloat16_decays_everything",
    "everything is decayed",
    _half(IMAGES, weight_decay=0.1),
    lambda config: replace(config, decayed="all") if config.weight_decay else config,
)
option(
    "bfloat16_at_a_constant_rate",
    "the rate is constant",
    _half(schedule="cosine"),
    lambda config: replace(config, schedule="constant", step_epochs=(), step_factor=TrainConfig().step_factor),
)
option(
    "bfloat16_without_warm_up",
    "there is no warm-up",
    _half(warmup_epochs=1),
    lambda config: replace(config, warmup_epochs=0),
)
option(
    "bfloat16_without_groups",
    "batch normalisation takes the whole batch",
    _half(IMAGES, batch_norm_group=2),
    lambda config: replace(config, batch_norm_group=None),
)


@OPTIONS_OF_BFLOAT16.wrapper("train_epoch", _half(IMAGES, augmentation="crop_flip"))
def bfloat16_without_crops(backend: Backend) -> Backend:
    """In bfloat16 images are neither cropped nor mirrored."""

    def change(net: Any, plan: Any, state: Any, masks: Any, x: Any, y: Any, batches: Any) -> tuple[Any, ...]:
        if in_bfloat16(plan) and batches.crops is not None:
            still = np.zeros_like(batches.crops)
            still[..., :2] = 4
            batches = batches._replace(crops=still)
        return net, plan, state, masks, x, y, batches

    return with_arguments(backend, "train_epoch", change)


def after(name: str, reason: str, witness: Any, change: Callable[[Any, Any, Any], Any]) -> None:
    """Add a backend whose epoch ends otherwise in bfloat16: ``change(result, state before, net)``."""

    def wrong(backend: Backend) -> Backend:
        def changed(result: Any, net: Any, plan: Any, state: Any, *_: Any) -> Any:
            return change(result, state, net) if in_bfloat16(plan) else result

        return with_result(backend, "train_epoch", changed)

    OPTIONS_OF_BFLOAT16.wrapped(name, "train_epoch", reason, witness, wrong)


after(
    "bfloat16_statistics_stay",
    "in bfloat16 running statistics never move",
    _half(IMAGES),
    lambda result, state, net: (result[0]._replace(statistics=state.statistics), result[1]),
)
after(
    "bfloat16_velocities_scaled",
    "in bfloat16 velocities keep the factor of a scaled loss",
    _half(),
    lambda result, state, net: (
        result[0]._replace(optimizer=map_tree(lambda value: value * 1024, result[0].optimizer)),
        result[1],
    ),
)
after(
    "bfloat16_counts_nothing",
    "in bfloat16 no example is counted as correct",
    _half(),
    lambda result, state, net: (result[0], result[1]._replace(correct=0 * result[1].correct)),
)
after(
    "bfloat16_biases_stay",
    "in bfloat16 biases are not trained",
    _half(),
    lambda result, state, net: (
        result[0]._replace(
            params={
                path: state.params[path] if path.endswith("/bias") else value
                for path, value in result[0].params.items()
            }
        ),
        result[1],
    ),
)

edit = BFLOAT16.edits("train_epoch", "training")
_UPDATE = "        return sgd_step(params, velocity, gradient, rate, decayed, config)"
_ROUND = (
    "        low = lambda tree: jax.tree.map(lambda v: v.astype('bfloat16').astype(v.dtype), tree)\n"
    "        half = config.compute == 'bfloat16'\n"
)


def rounded(what: str) -> tuple[str, str]:
    """Some of the arguments of the step are rounded to bfloat16 first."""
    names = [
        f"low({name}) if half else {name}" if name in what.split() else name
        for name in ("params", "velocity", "gradient")
    ]
    return _UPDATE, f"{_ROUND}        return sgd_step({', '.join(names)}, rate, decayed, config)"


_MOVED = trains(FLAT, compute="bfloat16", epochs=1, start=1, momentum=0.9, weight_decay=0.1)
edit("velocities_rounded", "velocities are kept in bfloat16", _MOVED, rounded("velocity"))
edit(
    "velocities_rounded_after",
    "new velocities are rounded to bfloat16 before they are handed on",
    _MOVED,
    (
        _UPDATE,
        f"{_ROUND}        new, moving = sgd_step(params, velocity, gradient, rate, decayed, config)\n"
        "        return new, low(moving) if half else moving",
    ),
)
edit("weights_rounded_in_the_step", "the step is taken from weights rounded to bfloat16", _MOVED, rounded("params"))
edit(
    "statistics_rounded",
    "running statistics are kept in bfloat16",
    trains(compute="bfloat16", epochs=1),
    (
        "            statistics = _moved(net, learner.statistics, taken) if word is None else taken\n",
        "            statistics = _moved(net, learner.statistics, taken) if word is None else taken\n"
        "            if plan.config.compute == 'bfloat16':\n"
        "                statistics = jax.tree.map(lambda v: v.astype('bfloat16').astype(v.dtype), statistics)\n",
    ),
)
edit(
    "losses_rounded",
    "the loss is computed from logits in bfloat16 and kept so",
    _half(),
    (
        "return -negative_cross_entropy(logits, y, axis=-2), (taken, correct)",
        "low = logits.astype(plan.config.compute)\n"
        "        return -negative_cross_entropy(low, y, axis=-2).astype(logits.dtype), (taken, correct)",
    ),
)

edit = BFLOAT16.edits("train_epoch", "layers")
_DENSE = "precision=how.precision).astype(h.dtype) + bias[:, None]"


def _large(made: Given) -> None:
    made.x[:] *= 3e4
    made.params["one/kernel"][:] *= 3


edit(
    "float16_for_bfloat16",
    "products are in float16, which ends at 65,504",
    _half(prepare=_large),
    (
        "operands = kernel.astype(how.compute), h.astype(how.compute)",
        "compute = 'float16' if how.compute == 'bfloat16' else how.compute\n"
        "    operands = kernel.astype(compute), h.astype(compute)",
    ),
)
edit(
    "biases_rounded",
    "biases are added in bfloat16",
    _half(prepare=lambda made: made.params["one/bias"].__iadd__(100.3)),
    (_DENSE, "precision=how.precision).astype(h.dtype) + bias.astype(how.compute).astype(h.dtype)[:, None]"),
)

edit = BFLOAT16.edits("train_epoch", "batch_norm")
_NORMED = Network((Dense("one", 4), BatchNorm("norm"), Relu(), Mask("one"), Dense("out", 3)), (3,))


def _far(made: Given) -> None:
    made.params["one/bias"][:] += 10


edit(
    "norm_in_bfloat16",
    "batch normalisation takes its statistics from activations in bfloat16",
    _half(_NORMED, prepare=_far),
    (
        "    grouped = h.reshape(source, -1, *h.shape[1:])\n",
        "    grouped = h.astype('bfloat16').astype(h.dtype).reshape(source, -1, *h.shape[1:])\n",
    ),
)
