"""Few examples: what a step shows, and its batch normalisation in groups, are wrong."""

from dataclasses import replace

from tests.conformance.wrappers import other_layers
from tests.mutants.body import FEW
from tests.mutants.witnesses import FLAT, IMAGES, trains
from weedout_core.nn import BatchNorm

edit = FEW.edits("train_epoch", "training")

# What is shown of a step.
_LOSS = "loss, correct = -negative_cross_entropy(logits, y), count_correct(logits, y)"
_UPDATED = "params, velocity = update(before.params, before.velocity, gradients, rate, plan.config)\n"
edit(
    "loss_after_the_update",
    "the loss is computed with the new weights",
    trains(FLAT),
    (
        _UPDATED,
        _UPDATED + "        loss = -negative_cross_entropy(forward(net.layers, params, mask, x,"
        " groups=plan.groups)[0], y)\n",
    ),
)
edit(
    "correct_after_the_update",
    "the number of correct examples is counted with the new weights",
    trains(FLAT, learning_rate=10.0),
    (
        _UPDATED,
        _UPDATED + "        correct = count_correct(forward(net.layers, params, mask, x, groups=plan.groups)[0], y)\n",
    ),
)
edit(
    "loss_with_decay",
    "the loss has the penalty of the decay in it",
    trains(FLAT, weight_decay=0.1),
    (
        _LOSS,
        _LOSS + "\n        loss += plan.config.weight_decay / 2 * sum((w**2).sum() for p, w in"
        " before.params.items() if p.endswith('/kernel'))",
    ),
)
edit(
    "loss_summed", "the loss is a sum over the batch", trains(FLAT), (_LOSS, _LOSS.replace("= -neg", "= len(y) * -neg"))
)
edit(
    "gradient_of_the_batch_that_was_asked_for",
    "the gradient's mean divides by batch_size where the split has fewer",
    trains(FLAT, batch_size=64),
    (
        "gradients = backward(before.params, mask, record, cross_entropy_gradient(logits, y),",
        "gradients = backward(before.params, mask, record, cross_entropy_gradient(logits, y)"
        " * len(y) / plan.config.batch_size,",
    ),
)


edit = FEW.edits("train_epoch", "batch_norm")
# Batch normalisation, in groups.
_FORGETFUL = other_layers(IMAGES, lambda layer: replace(layer, momentum=0.0) if isinstance(layer, BatchNorm) else layer)
_GROUPED = trains(IMAGES, batch_norm_group=2)
edit(
    "statistics_are_constants",
    "no gradient flows through mean and variance",
    trains(),
    (
        "one_group_gradient(group, scale, epsilon, group_gradient)",
        "normalise_gradient(group, *moments(group), scale, epsilon, group_gradient)",
    ),
)
edit(
    "variance_is_a_constant",
    "no gradient flows through the variance",
    trains(),
    (".sum(axis=over) * (-1 / 2) * sigma**-3", ".sum(axis=over) * 0.0"),
)
edit(
    "running_variance_of_the_whole_batch",
    "the variance over all groups together, not the mean of theirs",
    _GROUPED,
    ("np.mean(variances, axis=0)", "moments(x)[1]"),
)
edit(
    "running_statistics_of_the_first_group",
    "as with replicas of which only the first keeps its statistics",
    _GROUPED,
    ("np.mean(means, axis=0), np.mean(variances, axis=0)", "means[0], variances[0]"),
)
edit(
    "running_statistics_of_the_last_group",
    "each group overwrites those of the one before",
    _GROUPED,
    ("np.mean(means, axis=0), np.mean(variances, axis=0)", "means[-1], variances[-1]"),
)
edit(
    "gradients_of_scale_averaged_over_groups",
    "the gradients of scale and bias are means over groups, not sums",
    _GROUPED,
    (
        "return np.concatenate(x_gradients), scale_gradient, bias_gradient",
        "return np.concatenate(x_gradients), scale_gradient / groups, bias_gradient / groups",
    ),
)
edit(
    "momentum_of_statistics_falsy_is_the_default",
    "a momentum of 0 is taken for one that was not given, 0.9",
    trains(_FORGETFUL),
    (
        "return momentum * before + (1 - momentum) * seen",
        "momentum = momentum or 0.9\n    return momentum * before + (1 - momentum) * seen",
    ),
)
