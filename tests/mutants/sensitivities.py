"""Few examples: the gradient of masks is another one than the contract's."""

from tests.mutants.body import FEW
from tests.mutants.witnesses import FLAT, sensitivities

edit = FEW.edits("mask_gradient", "sensitivity")
edit(
    "gradient_of_the_rescaling",
    "the factor of rescale is left out",
    sensitivities(FLAT),
    ("factor = mask.size / max(np.count_nonzero(mask), 1) if layer.rescale else 1.0", "factor = 1.0"),
)
edit(
    "gradient_averaged_over_pixels",
    "the gradient of a channel's mask is a mean over its pixels",
    sensitivities(),
    ("of_nodes.sum(axis=pixels)", "of_nodes.mean(axis=pixels)"),
)
edit(
    "gradient_without_its_sign",
    "the gradient has no sign, as SNIP takes it",
    sensitivities(),
    ("factor * of_nodes.sum(axis=pixels)", "np.abs(factor * of_nodes.sum(axis=pixels))"),
)
edit(
    "gradient_of_the_mean_logit",
    "without labels the loss is the mean of the logits",
    sensitivities(labels=False),
    ("np.ones(logits.shape) if y is None", "np.full(logits.shape, 1 / logits.size) if y is None"),
)
edit(
    "gradient_of_the_largest_logit",
    "without labels the loss is the sum of each example's largest logit",
    sensitivities(labels=False),
    ("np.ones(logits.shape) if y is None", "(logits == logits.max(1, keepdims=True)) * 1.0 if y is None"),
)
