"""Sizes: words, masks and weights that are wrong for many words, nodes, sites or candidates only."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import SIZES
from tests.mutants.witnesses import draws, keeps, scores, words
from weedout_core import Network, mlp
from weedout_core.backend import Backend
from weedout_core.nn import Dense, Mask, ParameterSpec, Relu
from weedout_core.random import bits, key

_WORDS = bits(key(1), 70_000)
_COUNTER = "counter = np.arange(n, dtype=np.uint32)"
edit = SIZES.edits("random_bits", "randomness")
edit(
    "counters_of_16_bits",
    "word i is word i modulo 2^16",
    words(n=2**16 + 5),
    (_COUNTER, f"{_COUNTER} % 2**16"),
)
edit(
    "counters_in_float16",
    "counters are made in floats of 11 bits: many above 2,048 are alike",
    words(n=3000),
    (_COUNTER, "counter = np.arange(n).clip(max=60000).astype(np.float16).astype(np.uint32)"),
)
edit(
    "counters_of_blocks",
    "words are made in blocks of 4,096, and each block begins with the first counter",
    words(n=5000),
    (_COUNTER, f"{_COUNTER} % 4096"),
)

edit = SIZES.edits("keep_smallest", "masks")
_ORDER = 'order = np.argsort(bits, kind="stable")'
edit(
    "k_of_15_bits",
    "k is kept in 16 bits with a sign",
    keeps(_WORDS[:40_000], 33_000),
    (_ORDER, f"{_ORDER}\n    k = k if k < 2**15 else n"),
)
edit(
    "sampled_threshold",
    "with more than 8,192 words the bound is taken from every eighth of them",
    keeps(_WORDS[:9000], 100),
    (_ORDER, f"if n > 8192:\n        return bits <= np.sort(bits[::8])[min(k // 8, len(bits[::8]) - 1)]\n    {_ORDER}"),
)
edit(
    "unstable_sort_of_many",
    "with more than 4,096 words the sort is not stable: ties go to the last",
    keeps(np.repeat(_WORDS[:1000], 5), 2501),
    (_ORDER, f"{_ORDER}\n    if n > 4096:\n        order = np.lexsort((-np.arange(n), bits))"),
)
edit(
    "indices_of_16_bits",
    "nodes from 65,536 on are those from 0 on",
    keeps(_WORDS, 35_000),
    ("kept[order[:k]] = True", "kept[order[:k] % 2**16] = True"),
)

edit = SIZES.edits("masks_from_keys", "masks")
edit(
    "sites_past_the_fourth_alike",
    "the program is unrolled for four sites, and later ones take the fourth's key",
    draws({f"site{i}": (9,) for i in range(6)}),
    (
        "return {site.site: draw_mask(key, site) for site in plan.sites}",
        "keyed = [*plan.sites[:4], *[plan.sites[min(3, len(plan.sites) - 1)]] * (len(plan.sites) - 4)]\n"
        "    return {\n"
        "        site.site: draw_mask(key, SitePlan(site.site, site.shape, one.code, site.kept, site.bound))\n"
        "        for site, one in zip(plan.sites, keyed)\n"
        "    }",
    ),
)
edit(
    "nodes_in_a_word_of_64_bits",
    "a mask is packed in 64 bits: nodes from 64 on are those from 0 on",
    draws({"site": (80,)}),
    ("return kept.reshape(site.shape)", "return kept[np.arange(len(kept)) % 64].reshape(site.shape)"),
)
edit(
    "nodes_past_128_kept",
    "a mask has 128 bits, and nodes past them always stay",
    draws({"site": (140,)}),
    ("return kept.reshape(site.shape)", "return (kept | (np.arange(len(kept)) >= 128)).reshape(site.shape)"),
)

edit = SIZES.edits("masks_from_keys", "scoring")
_ROW = "masks[site.site][i] = drawn[site.site]"
edit(
    "masks_of_64_candidates",
    "candidates from 64 on have the masks of those from 0 on",
    draws({"site": (9,)}, size=70),
    ("drawn = draw_masks(key, plan)", "drawn = draw_masks(keys[i % 64], plan)"),
)
edit(
    "masks_of_128_candidates",
    "candidates from 128 on have no mask yet: nothing is kept",
    draws({"site": (9,)}, size=130),
    (_ROW, f"if i < 128:\n                {_ROW}"),
)

edit = SIZES.edits("score_population", "scoring")
_DEEP = Network(
    (*(layer for i in range(6) for layer in (Dense(f"d{i}", 5), Relu(), Mask(f"s{i}"))), Dense("out", 3)), (4,)
)
edit(
    "scored_sites_past_the_fourth_kept",
    "while scoring, a fifth site and later ones keep every node",
    scores(_DEEP),
    (
        "return draw_masks(population.mask_keys[i], population.plan)",
        "drawn = draw_masks(population.mask_keys[i], population.plan)\n"
        "    return {s: mask | (n > 3) for n, (s, mask) in enumerate(drawn.items())}",
    ),
)
_FOR = "    for i in range(population.size):\n"
edit(
    "scores_of_64_candidates",
    "candidates from 64 on get the fitness of those from 0 on",
    scores(mlp(3, (4,), 2), size=70, chunk=70),
    ("    return fitness\n\n\ndef score(", "    return fitness[np.arange(population.size) % 64]\n\n\ndef score("),
)
edit(
    "scores_of_128_candidates",
    "a population is cut at 128 candidates, and the others have a fitness of 0",
    scores(mlp(3, (4,), 2), size=130, chunk=130),
    (_FOR, "    for i in range(min(population.size, 128)):\n"),
)
edit(
    "weights_of_32_candidates",
    "candidates from 32 on have the weights of those from 0 on",
    scores(mlp(3, (4,), 2), size=40, chunk=40, candidates="own"),
    ("draw_parameters(population.weight_keys[i], params)", "draw_parameters(population.weight_keys[i % 32], params)"),
)
edit(
    "chunks_of_at_most_16",
    "a chunk of more than 16 candidates is cut to 16, and what is cut off gets the last score",
    scores(mlp(3, (4,), 2), size=20, chunk=20),
    (
        "    return fitness\n\n\ndef score(",
        "    place = np.arange(population.size)\n"
        "    return fitness[place - (place % scoring.chunk - 15).clip(0)]\n\n\ndef score(",
    ),
)


def _many(backend: Backend) -> Any:
    return backend.draw_parameters(key(1), (ParameterSpec("a/kernel", (300, 300), 5, 1.0),))


@SIZES.wrapper("draw_parameters", _many)
def large_arrays_repeat(backend: Backend) -> Backend:
    """The numbers of an array from 65,536 on are those from 0 on."""

    def change(params: Any, *_: Any) -> Any:
        return {path: np.resize(value.ravel()[: 2**16], value.shape) for path, value in params.items()}

    return with_result(backend, "draw_parameters", change)


@SIZES.wrapper("draw_parameters", lambda backend: backend.draw_parameters(
    key(1), tuple(ParameterSpec(f"p{i}", (3,), i, 1.0) for i in range(20))))  # fmt: skip
def parameters_past_the_sixteenth_alike(backend: Backend) -> Backend:
    """The program is unrolled for 16 parameters, and later ones take the code of the sixteenth."""

    def change(key: Any, specs: Any) -> Any:
        return key, (*specs[:16], *(replace(spec, code=specs[15].code) for spec in specs[16:]))

    return with_arguments(backend, "draw_parameters", change)


@SIZES.wrapper("masks_from_keys", lambda backend: backend.sample_masks(key(1), {"site": (20,)}, 0.5, 300))
def keys_of_eight_bits(backend: Backend) -> Backend:
    """Candidates from 256 on have the masks of those from 0 on: the number of a candidate has eight bits."""

    def change(keys: Any, plan: Any) -> Any:
        return keys[np.arange(len(keys)) % 256], plan

    return with_arguments(backend, "masks_from_keys", change)
