"""Few examples: populations are scored wrongly for some combinations of what can be asked for."""

from tests.mutants.body import FEW
from tests.mutants.witnesses import FLAT, scores

edit = FEW.edits("score_population", "scoring")
_RECALIBRATED = scores(norm="recalibrated")
_SEEN = "_, record = forward(net.layers, params, masks, batch.calibration)"
edit(
    "recalibrated_on_as_many_as_are_scored",
    "no more inputs for calibration are looked at than examples are scored",
    _RECALIBRATED,
    (_SEEN, _SEEN.replace("batch.calibration", "batch.calibration[: len(batch.x)]")),
)
edit(
    "recalibrated_as_a_running_average",
    "what calibration shows moves the first statistics by a step of the running average",
    _RECALIBRATED,
    (
        "return batch_statistics(record)",
        "return {p: 0.9 * p.endswith('/variance') + 0.1 * v for p, v in batch_statistics(record).items()}",
    ),
)
edit(
    "recalibrated_with_half_the_mask",
    "the inputs for calibration go through a network of which one site alone is masked",
    _RECALIBRATED,
    (_SEEN, "masks = {s: m if s == min(masks) else m | True for s, m in masks.items()}\n        " + _SEEN),
)
edit(
    "given_statistics_ignored_for_own_weights",
    "candidates with weights of their own take the statistics of the batch",
    scores(candidates="own", norm="running"),
    (
        "candidate_masks(population, i), batch, scoring.fitness)",
        "candidate_masks(population, i),\n"
        "            batch if population.weight_keys is None else batch._replace(statistics=None), scoring.fitness)",
    ),
)
edit(
    "given_statistics_ignored_for_accuracy",
    "the accuracy is that with the statistics of the batch",
    scores(norm="running", fitness="accuracy", examples=40),
    (
        "(batch.x, batch.y), fitness, statistics)",
        "(batch.x, batch.y), fitness, None if fitness == 'accuracy' else statistics)",
    ),
)
_OWN = "return draw_parameters(population.weight_keys[i], params)"
edit(
    "own_weights_from_the_keys_of_masks",
    "weights are drawn with the keys of the masks where there are such keys",
    scores(candidates="own"),
    (
        _OWN,
        "keys = population.weight_keys if population.mask_keys is None else population.mask_keys\n"
        "    return draw_parameters(keys[i], params)",
    ),
)
edit(
    "own_weights_of_the_first_for_masks",
    "with masks that are handed in, all candidates draw the first one's weights",
    scores(candidates="masks own"),
    (_OWN, "return draw_parameters(population.weight_keys[0 if population.masks is not None else i], params)"),
)
edit(
    "own_weights_by_the_low_word",
    "the high word of a candidate's weight key is left out",
    scores(candidates="own"),
    (_OWN, "return draw_parameters(population.weight_keys[i] * np.array([0, 1], np.uint32), params)"),
)
_DRAWN = "return draw_masks(population.mask_keys[i], population.plan)"
edit(
    "masks_by_the_low_word",
    "the high word of a candidate's mask key is left out while scoring",
    scores(),
    (_DRAWN, "return draw_masks(population.mask_keys[i] * np.array([0, 1], np.uint32), population.plan)"),
)
edit(
    "masks_by_swapped_words",
    "the two words of a candidate's mask key change places while scoring",
    scores(),
    (_DRAWN, "return draw_masks(population.mask_keys[i][::-1], population.plan)"),
)
edit(
    "bernoulli_scored_as_exact",
    "while scoring each site keeps the number of nodes that Bernoulli sampling keeps on average",
    scores(sampling="bernoulli"),
    (
        _DRAWN,
        "from dataclasses import replace\n    from weedout_core.backend import MaskPlan\n"
        "    plan = MaskPlan(tuple(replace(site, bound=None) for site in population.plan.sites))\n"
        "    return draw_masks(population.mask_keys[i], plan)",
    ),
)
edit(
    "bernoulli_scored_as_exact_for_own_weights",
    "with weights of its own a candidate keeps as many nodes as Bernoulli sampling keeps on average",
    scores(sampling="bernoulli", candidates="own"),
    (
        _DRAWN,
        "from dataclasses import replace\n    from weedout_core.backend import MaskPlan\n    plan = population.plan\n"
        "    if population.weight_keys is not None:\n"
        "        plan = MaskPlan(tuple(replace(site, bound=None) for site in plan.sites))\n"
        "    return draw_masks(population.mask_keys[i], plan)",
    ),
)
edit(
    "rescaled_by_what_is_expected",
    "under Bernoulli sampling a mask is taken to keep as many nodes as on average",
    scores(FLAT, sampling="bernoulli"),
    (
        _DRAWN,
        "masks = draw_masks(population.mask_keys[i], population.plan)\n    return masks | {\n"
        "        f'{site.site} off': masks[site.site].sum() / site.kept\n"
        "        for site in population.plan.sites if site.bound is not None}",
    ),
    (
        "network",
        "nn.apply_mask(x, masks[site], rescale)",
        "nn.apply_mask(x, masks[site], rescale) * (masks.get(f'{site} off', 1.0) if rescale else 1.0)",
    ),
)
