"""NaN, ties, zeros: batch normalisation with statistics, scales or inputs that decide."""

import numpy as np

from tests.mutants.body import STRUCTURE
from tests.mutants.witnesses import IMAGES, Given, Prepare, predicts, trains
from weedout_core import Network
from weedout_core.nn import BatchNorm, Dense, Mask, Relu

edit = STRUCTURE.edits("predict", "batch_norm")
_NORMED = Network((Dense("one", 4), BatchNorm("norm"), Relu(), Mask("one"), Dense("out", 3)), (3,))


def _variance(value: float) -> Prepare:
    def prepare(given: Given) -> None:
        given.statistics["norm/variance"][:, 0] = value

    return prepare


_CHECKED = "return np.sqrt(np.where(sound, variance, np.nan) + epsilon)"
edit(
    "infinite_variance_is_zero",
    "a channel of infinite variance is 0, and not NaN",
    predicts(_NORMED, prepare=_variance(np.inf)),
    (_CHECKED, "return np.sqrt(variance + epsilon)"),
)
edit(
    "constant_channels_as_they_are",
    "a channel of variance 0 is divided by 1",
    predicts(_NORMED, prepare=_variance(0.0)),
    (_CHECKED, "return np.where(variance == 0, 1.0, np.sqrt(np.where(sound, variance, np.nan) + epsilon))"),
)
edit(
    "epsilon_beside_the_root",
    "epsilon is added to the deviation",
    predicts(IMAGES),
    (_CHECKED, "return np.sqrt(np.where(sound, variance, np.nan)) + epsilon"),
)
edit(
    "epsilon_as_a_floor",
    "a variance below epsilon is epsilon",
    predicts(IMAGES),
    (_CHECKED, "return np.sqrt(np.maximum(np.where(sound, variance, np.nan), epsilon))"),
)


def _no_scale(given: Given) -> None:
    given.params["norm/scale"][:] = 0
    given.params["norm/bias"][:] = 1


edit = STRUCTURE.edits("train_epoch", "batch_norm")
edit(
    "scale_from_its_output",
    "the gradient of the scale is computed from y, and is 0 where the scale is 0",
    trains(_NORMED, prepare=_no_scale, epochs=1),
    (
        "return x_gradient, (gradient * normal).sum(axis=over), gradient",
        "return x_gradient, (gradient * normal).sum(axis=over) * (scale != 0), gradient",
    ),
)
edit(
    "variance_from_squares",
    "the variance is E x^2 - (E x)^2 in single precision, which loses a small one",
    trains(_NORMED, epochs=1, prepare=lambda given: given.params["one/bias"].__iadd__(3000)),
    (
        "return mean, ((x - mean) ** 2).mean(axis=over)",
        "single = x.astype(np.float32)\n"
        "    return mean, np.maximum((single**2).mean(axis=over) - single.mean(axis=over) ** 2, 0.0)",
    ),
)
