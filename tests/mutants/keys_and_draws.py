"""Few examples: words, masks and initial weights that are right for some keys and some plans only."""

from typing import Any

import numpy as np

from tests.conformance.wrappers import with_result
from tests.mutants.body import FEW
from tests.mutants.witnesses import draws, initialises, keeps, words
from weedout_core.backend import Backend, MaskPlan, SitePlan, map_tree
from weedout_core.nn import ParameterSpec
from weedout_core.random import key

edit = FEW.edits("random_bits", "randomness")
_KEY = "k0, k1 = int(key[0]), int(key[1])"
edit("high_word_left_out", "a key is its low word", words(), (_KEY, "k0, k1 = 0, int(key[1])"))
edit(
    "words_of_keys_swapped",
    "a key is its words the other way round",
    words(),
    (_KEY, "k1, k0 = int(key[0]), int(key[1])"),
)
edit(
    "keys_of_31_bits",
    "the highest bit of each word of a key is lost",
    words(2**63 + 2**31),
    (_KEY, "k0, k1 = int(key[0]) & 0x7FFFFFFF, int(key[1]) & 0x7FFFFFFF"),
)
edit(
    "keys_joined_by_or",
    "the third word of the schedule is an or of the others, which is their xor for small keys",
    words(2**40 + 2**8),
    ("k0 ^ k1 ^ PARITY", "(k0 | k1) ^ PARITY"),
)
edit(
    "numbers_of_31_bits",
    "a code above 2^31 is folded in without its highest bit",
    draws({"site": (20,), "another": (20,), "third": (20,)}),
    ("counter = np.array([number], dtype=np.uint32)", "counter = np.array([number & 0x7FFFFFFF], dtype=np.uint32)"),
)


def _renumbered(backend: Backend) -> Any:
    """Masks of sites whose numbers are not those of their names, and whose bounds differ."""
    plan = MaskPlan((SitePlan("site", (30,), 1, 8, 2**30), SitePlan("other", (30,), 2, 8, 2**29)))
    return backend.masks_from_keys(key(1)[None], plan)


edit = FEW.edits("masks_from_keys", "masks")
edit(
    "nodes_column_by_column",
    "the words of a site with several axes are laid out with the first axis fastest",
    draws({"site": (3, 4, 2)}),
    ("return kept.reshape(site.shape)", 'return kept.reshape(site.shape, order="F")'),
)
edit(
    "codes_of_names",
    "the number folded in is computed from the site's name, whatever its plan says",
    _renumbered,
    ("bits = random_bits(fold_in(key, site.code)", "bits = random_bits(fold_in(key, path_code(site.site))"),
)
edit(
    "bernoulli_of_bounds_above_a_half",
    "bounds below 2^31 keep a single node: read as signed, they are the large ones",
    draws({"site": (40,)}, 0.7, "bernoulli"),
    ("(bits <= site.bound) |", "((bits <= site.bound) & (site.bound >= 2**31)) |"),
)
edit(
    "bernoulli_keeps_the_first_where_none_is_left",
    "where no word is below the bound, node 0 stays and not the smallest",
    draws({"site": (20,)}, 1 - 2**-30, "bernoulli"),
    (
        "(bits <= site.bound) | keep_smallest(bits, 1)",
        "(bits <= site.bound) | ((np.arange(len(bits)) == 0) & (bits > site.bound).all())",
    ),
)
edit(
    "bernoulli_may_keep_none",
    "where no word is below the bound, no node stays",
    draws({"site": (20,)}, 1 - 2**-30, "bernoulli"),
    (" | keep_smallest(bits, 1)", ""),
)
edit(
    "bernoulli_always_keeps_the_first",
    "node 0 always stays",
    draws({"site": (20,)}, 0.9, "bernoulli", size=9),
    (" | keep_smallest(bits, 1)", " | keep_smallest(bits, 1) | (np.arange(len(bits)) == 0)"),
)
edit(
    "bernoulli_of_a_half_for_all",
    "the bound is a constant of the program, that of one half",
    _renumbered,
    ("(bits <= site.bound)", "(bits <= (0x7FFFFFFF if site.bound < 2**32 - 1 else site.bound))"),
)

edit = FEW.edits("keep_smallest", "masks")
_KEPT = '    order = np.argsort(bits, kind="stable")\n'
edit(
    "all_are_never_kept",
    "k = n keeps n - 1: the bound is the next word, and there is none",
    keeps(range(8), 8),
    (_KEPT, "    if k == n:\n        return bits < bits.max()\n" + _KEPT),
)
edit(
    "one_is_the_first",
    "k = 1 keeps the first node",
    keeps([3, 1, 2], 1),
    (_KEPT, "    if k == 1:\n        return np.arange(n) == 0\n" + _KEPT),
)
edit(
    "zero_word_is_padding",
    "a word of 0 is taken for padding, and never kept",
    keeps([3, 0, 2], 1),
    (_KEPT, "    bits = np.where(bits == 0, 2**32 - 1, bits)\n" + _KEPT),
)
edit(
    "largest_word_is_padding",
    "a word of 2^32 - 1 is taken for padding, and left out",
    keeps([2**32 - 1, 7], 2),
    ("    kept[order[:k]] = True\n", "    kept[order[:k]] = bits[order[:k]] < 2**32 - 1\n"),
)

edit = FEW.edits("draw_parameters", "initial")
edit(
    "constants_are_integers",
    "a constant that is no integer is cut",
    lambda backend: backend.draw_parameters(key(1), (ParameterSpec("a/scale", (3,), 1, 0.0, 0.5),)),
    ("float(spec.value)", "int(spec.value) + 0.0"),
)
edit(
    "codes_of_paths",
    "the number folded in is computed from the path, whatever the spec says",
    lambda backend: backend.draw_parameters(key(1), (ParameterSpec("a", (3,), 1, 1.0),)),
    ("fold_in(key, spec.code)", "fold_in(key, path_code(spec.path))"),
)
edit(
    "kernels_features_first",
    "the words of a convolution's kernel are laid out with the features first",
    initialises(),
    (
        "params[spec.path] = drawn.reshape(spec.shape)",
        "params[spec.path] = np.moveaxis(drawn.reshape(np.roll(spec.shape, 1)), 0, -1)",
    ),
)
edit(
    "truncated_normals",
    "normals are cut at two deviations",
    initialises(),
    (
        "spec.std * standard_normal(fold_in(key, spec.code), n)",
        "spec.std * standard_normal(fold_in(key, spec.code), n).clip(-2, 2)",
    ),
)
edit(
    "deviations_up_to_one",
    "deviations above 1 are cut to 1",
    lambda backend: backend.draw_parameters(key(1), (ParameterSpec("a", (3,), 1, 2.5),)),
    ("spec.std * standard", "min(spec.std, 1.0) * standard"),
)


@FEW.wrapper(
    "draw_parameters",
    lambda backend: backend.draw_parameters(
        key(1),
        (ParameterSpec("a", (3,), 1, 1.0), ParameterSpec("b", (3,), 2, 0.0, 2.0), ParameterSpec("c", (), 3, 1.0)),
    ),
)
def single_numbers_are_rows(backend: Backend) -> Backend:
    """A parameter without axes, such as a learned factor, gets one."""
    return with_result(backend, "draw_parameters", lambda params, *_: map_tree(np.atleast_1d, params))
