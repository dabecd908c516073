"""Structure: mutants that are right on layers in a row, and wrong on branches, nested ones and masks in odd places."""

from collections.abc import Callable
from typing import Any

from tests.conformance.wrappers import other_layers, with_arguments
from tests.mutants.body import STRUCTURE
from tests.mutants.witnesses import predicts, trains
from weedout_core import Network
from weedout_core.backend import Backend
from weedout_core.nn import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    Mask,
    Relu,
    Residual,
)


def _branches(main: tuple[Layer, ...], shortcut: tuple[Layer, ...] = (), *after: Layer) -> Network:
    return Network((Dense("one", 4), Residual(main, shortcut), *after, Dense("out", 3)), (3,))


edit = STRUCTURE.edits("predict", "network")
_LEFT = "left, main = forward(layer.main, params, masks, x, statistics, groups)"
_RIGHT = "right, shortcut = forward(layer.shortcut, params, masks, x, statistics, groups)"
_IN_PLACE = (
    "                if layer.main and isinstance(layer.main[0], {}):\n"
    "                    x = forward(layer.main[:1], params, masks, x, statistics, groups)[0]\n"
)
for _kind, _first in (("Relu", Relu()), ("BatchNorm", BatchNorm("norm")), ("Mask", Mask("inner"))):
    edit(
        f"{_kind.lower()}_first_in_place",
        f"a branch that begins with {_kind} changes its input in place, and the shortcut sees it",
        predicts(_branches((_first, Dense("inner", 4)))),
        (f"                {_RIGHT}", _IN_PLACE.format(_kind) + f"                {_RIGHT}"),
    )
edit(
    "shortcuts_are_not_masked",
    "masks in a shortcut are left out",
    predicts(_branches((Dense("a", 4),), (Dense("b", 4), Mask("b")))),
    (_RIGHT, _RIGHT.replace("masks", "None")),
)
edit(
    "shortcuts_take_the_batch",
    "batch normalisation in a shortcut takes the statistics of the batch",
    predicts(),
    (_RIGHT, _RIGHT.replace("statistics", "None")),
)
edit(
    "branches_multiplied",
    "where both branches have layers they are multiplied",
    predicts(),
    ("y = left + right", "y = left * right if shortcut and main else left + right"),
)
edit(
    "second_of_two_masks",
    "of two masks in a row the first is left out",
    predicts(_branches((Mask("a"), Mask("b")))),
    (
        "y = x if masks is None else nn.apply_mask(x, masks[site], rescale)",
        "place = list(layers).index(layer) + 1\n"
        "                skip = place < len(layers) and isinstance(layers[place], Mask)\n"
        "                y = x if masks is None or skip else nn.apply_mask(x, masks[site], rescale)",
    ),
)
edit(
    "mask_of_the_inputs_left_out",
    "a mask that is the first of a network is left out",
    predicts(Network((Mask("x"), Dense("out", 3)), (4,))),
    (
        "y = x if masks is None else nn.apply_mask(x, masks[site], rescale)",
        "inputs = not record and isinstance(layers[-1], Dense)\n"
        "                y = x if masks is None or inputs else nn.apply_mask(x, masks[site], rescale)",
    ),
)
edit(
    "images_flattened_channels_first",
    "an image is flattened channel by channel",
    predicts(Network((Conv("one", 2), Mask("one"), Flatten(), Dense("out", 3)), (2, 3, 1))),
    ("y = x.reshape(len(x), -1)", "y = np.moveaxis(x, -1, 1).reshape(len(x), -1)"),
)
edit(
    "norm_over_nodes",
    "batch normalisation of flat activations normalises each example, not each node",
    trains(Network((Dense("one", 4), BatchNorm("norm"), Mask("one"), Dense("out", 3)), (3,)), epochs=1),
    (
        "y = bn.batch_norm(x, scale, bias, epsilon, groups)",
        "y = bn.batch_norm(x, scale, bias, epsilon, groups) if x.ndim > 2 else scale * (\n"
        "                        (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + epsilon)) + bias",
    ),
)

edit = STRUCTURE.edits("train_epoch", "network")
edit(
    "statistics_of_shortcuts_stay",
    "running statistics in a shortcut never move",
    trains(epochs=1),
    (
        "    for layer, _ in batch_norm_steps(record):",
        "    for layer, _ in batch_norm_steps(tuple(step._replace(shortcut=()) for step in record)):",
    ),
)
edit(
    "shortcuts_without_gradient",
    "no gradient flows through a shortcut that has no layers",
    trains(_branches((Relu(), Dense("a", 4), Mask("a"))), epochs=1),
    ("gradient = left.x + right.x", "gradient = left.x + right.x if shortcut else left.x"),
)
edit(
    "gradient_unscaled",
    "the gradient of a mask with rescale is not rescaled",
    trains(epochs=1),
    (
        "gradient = nn.apply_mask(gradient, masks[site], rescale)",
        "gradient = nn.apply_mask(gradient, masks[site], False)",
    ),
)
edit(
    "gradient_through_removed_nodes",
    "the gradient passes removed nodes (straight through)",
    trains(epochs=1),
    ("gradient = nn.apply_mask(gradient, masks[site], rescale)", "gradient = gradient * 1.0"),
)


def nested(backend: Backend, change: Callable[[Residual], Any]) -> Backend:
    """A backend that changes residuals inside of residuals, in every function."""

    def outer(layer: Any) -> Any:
        if not isinstance(layer, Residual):
            return layer
        inner = [change(each) if isinstance(each, Residual) else each for each in layer.main]
        flat = tuple(one for each in inner for one in (each if isinstance(each, tuple) else (each,)))
        return Residual(flat, layer.shortcut)

    def changed(net: Any, *rest: Any) -> tuple[Any, ...]:
        return other_layers(net, outer), *rest

    for name in ("predict", "score_population", "train_init", "train_epoch", "mask_gradient"):
        backend = with_arguments(backend, name, changed)
    return backend


@STRUCTURE.wrapper("predict", predicts(_branches((Residual((Relu(), Dense("a", 4))), Mask("b")))))
def inner_identity_left_out(backend: Backend) -> Backend:
    """A residual without a shortcut inside of another one is its main branch alone."""
    return nested(backend, lambda inner: inner.main if not inner.shortcut else inner)


@STRUCTURE.wrapper("predict", predicts(_branches((Residual((Relu(), Mask("a")), (Relu(),)), Dense("b", 4)))))
def inner_branches_swapped_masks(backend: Backend) -> Backend:
    """The main branch of a residual inside of another one is not masked."""
    return nested(
        backend,
        lambda inner: Residual(tuple(each for each in inner.main if not isinstance(each, Mask)), inner.shortcut),
    )
