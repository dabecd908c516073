"""Written afterwards: networks that are scored, predicted or asked for the gradient of their masks otherwise."""

from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import AFTERWARDS
from tests.mutants.witnesses import CHOSEN, FLAT, Given, given, predicts, scores, sensitivities
from weedout_core import Network, TrainConfig
from weedout_core.backend import Backend, map_tree, train_plan
from weedout_core.nn import Conv, Dense, Flatten, Mask, Relu, Residual, parameter_shapes
from weedout_core.random import key, split


def in_bfloat16(params: Any) -> dict[str, np.ndarray]:
    """Weights of NumPy's of which the kernels are cut to bfloat16."""
    return {
        path: (value.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(value.dtype)
        if path.endswith("/kernel")
        else value
        for path, value in params.items()
    }


def _all_right(made: Given) -> None:
    made.y[:] = 0
    made.params["out/bias"][..., 0] += 1e3


AFTERWARDS.edits("score_population", "fitness")(
    "correct_examples_in_half_floats",
    "the accuracy adds up correct examples in floats of 16 bits, which stop at 2,048",
    scores(FLAT, size=1, examples=3000, fitness="accuracy", prepare=_all_right),
    (
        "return count_correct(logits, labels) / len(labels)",
        "return min(count_correct(logits, labels), 2048) / len(labels)",
    ),
)


def _one_mask(made: Given) -> None:
    for mask in made.masks.values():
        mask[:] = mask[:1]


@AFTERWARDS.wrapper("score_population", scores(FLAT, candidates="masks own", prepare=_one_mask))
def equal_masks_are_scored_once(backend: Backend) -> Backend:
    """Of candidates whose masks were handed in and are equal only the first is scored, whatever their weights are."""

    def change(fitness: Any, net: Any, params: Any, population: Any, *_: Any) -> Any:
        if population.masks is None:
            return fitness
        seen = [
            b"".join(np.asarray(mask[i]).tobytes() for mask in population.masks.values()) for i in range(len(fitness))
        ]
        return backend.asarray(fitness[[seen.index(mask) for mask in seen]])

    return with_result(backend, "score_population", change)


edit = AFTERWARDS.edits("score_population", "scoring")
edit(
    "shortcuts_are_not_calibrated",
    "what calibration showed is not used in shortcuts: these take the statistics of the batch",
    scores(norm="recalibrated"),
    (
        "        return batch_statistics(record)",
        "        _, mine = forward(net.layers, params, masks, batch.x)\n"
        "        return batch_statistics(mine) | batch_statistics(tuple(s._replace(shortcut=()) for s in record))",
    ),
)


def _nearly_cancels(made: Given) -> None:
    made.x[:] = 1000
    made.params["out/kernel"][:] = [[1.0008, 1, 1], [-1, -1, -1]]
    made.masks["x"][:] = True


edit(
    "scored_in_tensor_floats",
    "kernels have 10 bits after the point while scoring, as TensorFloat-32, though the precision is highest",
    scores(Network((Mask("x"), Dense("out", 3)), (2,)), candidates="masks", size=1, prepare=_nearly_cancels),
    (
        "        weights = candidate_parameters(params, population, i)\n",
        "        weights = dict(candidate_parameters(params, population, i))\n"
        "        for path in (path for path in weights if path.endswith('/kernel')):\n"
        "            single = weights[path].astype(np.float32).view(np.uint32) & np.uint32(0xFFFFE000)\n"
        "            weights[path] = single.view(np.float32).astype(np.float64)\n",
    ),
)


@AFTERWARDS.wrapper("predict", predicts())
def predicts_with_the_first_statistics(backend: Backend) -> Backend:
    """Each of R networks is predicted with the running statistics of the first, which are broadcast."""
    return with_arguments(
        backend,
        "predict",
        lambda net, params, statistics, *rest: (
            net, params, map_tree(lambda value: np.repeat(value[:1], len(value), 0), statistics), *rest
        ),
    )  # fmt: skip


@AFTERWARDS.wrapper("predict", predicts(FLAT, networks=1))
def a_single_network_loses_its_axis(backend: Backend) -> Backend:
    """The logits of a single network are (examples, classes)."""
    return with_result(backend, "predict", lambda logits, *_: logits[0] if len(logits) == 1 else logits)


def _with_and_without_masks(backend: Backend) -> Any:
    made = given(FLAT, 2, 5)
    params, statistics, masks = (map_tree(backend.asarray, tree) for tree in made[2:])
    x = backend.asarray(made.x)
    return [backend.predict(FLAT, params, statistics, each, x) for each in (masks, None)]


@AFTERWARDS.wrapper("predict", _with_and_without_masks)
def no_masks_are_the_last_ones(backend: Backend) -> Backend:
    """Masks stay on the device: without any, a network is predicted with those of the call before."""
    kept: dict[Any, Any] = {}

    def change(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> tuple[Any, ...]:
        which = net, len(next(iter(params.values())))
        if masks is not None:
            kept[which] = masks
        return net, params, statistics, kept.get(which), x

    return with_arguments(backend, "predict", change)


def _sorted_by_path(backend: Backend) -> Any:
    """Logits of weights whose paths are sorted, as JAX's trees have them."""
    net = Network((Dense("two", 4), Relu(), Mask("two"), Dense("one", 4)), (4,))
    made = given(net, 2, 5)
    params = {path: backend.asarray(made.params[path]) for path in ("one/kernel", "one/bias", "two/kernel", "two/bias")}
    return backend.predict(net, params, {}, map_tree(backend.asarray, made.masks), backend.asarray(made.x))


@AFTERWARDS.wrapper("predict", _sorted_by_path)
def weights_are_read_in_order(backend: Backend) -> Backend:
    """Weights are taken in the order of the mapping, which is not always that of the layers, and not by their paths."""
    return with_arguments(
        backend,
        "predict",
        lambda net, params, *rest: (net, dict(zip(parameter_shapes(net), params.values(), strict=True)), *rest),
    )


def _after_bfloat16(backend: Backend) -> Any:
    made, keys = given(FLAT, 2, 8), split(key(3), 2)
    params, statistics, masks = (map_tree(backend.asarray, tree) for tree in made[2:])
    backend.train_init(
        FLAT, train_plan(TrainConfig(epochs=1, **CHOSEN, compute="bfloat16"), 8), keys, params, statistics
    )
    return backend.predict(FLAT, params, statistics, masks, backend.asarray(made.x))


@AFTERWARDS.wrapper("predict", _after_bfloat16)
def predicts_as_it_trains(backend: Backend) -> Backend:
    """A network that was last trained with compute="bfloat16" is predicted with kernels in bfloat16."""
    computes: dict[Any, str] = {}

    def began(state: Any, net: Any, plan: Any, *_: Any) -> Any:
        computes[net] = plan.config.compute
        return state

    def change(net: Any, params: Any, *rest: Any) -> tuple[Any, ...]:
        return net, in_bfloat16(params) if computes.get(net) == "bfloat16" else params, *rest

    return with_arguments(with_result(backend, "train_init", began), "predict", change)


edit = AFTERWARDS.edits("predict", "layers")
edit(
    "channels_found_by_their_number",
    "the mask of channels goes along the first axis that is as long as it: the rows of an image as high as deep",
    predicts(Network((Conv("a", 4), Mask("a", granularity="channel"), Relu(), Flatten(), Dense("out", 3)), (4, 3, 2))),
    (
        "    kept = np.where(mask, x, 0.0)",
        "    if mask.ndim == 1 and x.ndim == 4 and x.shape[1] == len(mask):\n        mask = mask[:, None, None]\n"
        "    kept = np.where(mask, x, 0.0)",
    ),
)
edit(
    "border_as_in_tensorflow",
    'the border is that of padding="SAME" in TensorFlow: with a stride an even image has none above and on the left',
    predicts(Network((Conv("a", 3, stride=2), Relu(), Mask("a"), Flatten(), Dense("out", 3)), (6, 4, 2))),
    ("    padded = pad(x, (len(kernel) - 1) // 2)\n", "    padded = same(x, len(kernel), stride)\n"),
    ("    margin = (len(kernel) - 1) // 2\n    padded = pad(x, margin)\n",
     "    (top, _), (left, _) = around(height, len(kernel), stride), around(width, len(kernel), stride)\n"
     "    padded = same(x, len(kernel), stride)\n"),
    ("margin : margin + height, margin : margin + width", "top : top + height, left : left + width"),
    ("def pad(x: Images, margin: int) -> Images:",
     "def around(size, window, stride):\n"
     "    total = max((-(-size // stride) - 1) * stride + window - size, 0)\n"
     "    return total // 2, total - total // 2\n\n\n"
     "def same(x, window, stride):\n"
     "    _, height, width, _ = x.shape\n"
     "    return np.pad(x, ((0, 0), around(height, window, stride), around(width, window, stride), (0, 0)))\n\n\n"
     "def pad(x: Images, margin: int) -> Images:"),
)  # fmt: skip
edit(
    "nothing_kept_is_nan",
    "a mask with rescale that keeps no node gives 0 / 0, which is NaN, where a removed node gives 0",
    predicts(FLAT, prepare=lambda made: made.masks["one"].fill(False)),
    ("(mask.size / max(np.count_nonzero(mask), 1))", "(mask.size / np.count_nonzero(mask) if mask.any() else np.nan)"),
)


def _cancels(made: Given) -> None:
    made.x[:, 0] = [1e9, 1, -1e9]


edit = AFTERWARDS.edits("mask_gradient", "sensitivity")
edit(
    "gradient_in_single_precision",
    "all is computed in float32, and the gradient converted to float64 in the end",
    sensitivities(Network((Mask("x"), Dense("out", 3)), (2,)), examples=3, labels=False, prepare=_cancels),
    ("path: np.asarray(value, dtype=np.float64)", "path: np.asarray(value, dtype=np.float32)"),
    ("np.asarray(x, dtype=np.float64), statistics", "np.asarray(x, dtype=np.float32), statistics"),
    ("np.ones(logits.shape) if y is None", "np.ones(logits.shape, np.float32) if y is None"),
    ("factor * of_nodes.sum(axis=pixels)", "(factor * of_nodes.sum(axis=pixels)).astype(np.float64)"),
)
edit(
    "no_gradient_in_shortcuts",
    "the gradient of a mask in a shortcut is 0",
    sensitivities(Network((Residual((Dense("a", 4),), (Dense("b", 4), Mask("b"))), Dense("out", 3)), (3,))),
    ("network", "masked |= left.masked | right.masked",
     "masked |= left.masked | {site: 0 * value for site, value in right.masked.items()}"),
)  # fmt: skip
