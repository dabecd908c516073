"""What choosing and training cost, counted: candidates, steps, and multiply-adds.

Multiply-adds are counted in three ways: as if nothing were removed (dense), those that can change a logit under the
masks (active), and those of the network that is really computed, which is smaller where masks were compacted.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from weedout_core import Network, SearchConfig, TrainConfig, compact, costs, key, mask_space
from weedout_core._phases.limited_training import score_trained
from weedout_core._phases.together import trained_smaller
from weedout_core.backend import (
    Backend,
    MaskPlan,
    Masks,
    Population,
    Room,
    compacted,
    counted_room,
    counted_sites,
    host_array,
    known_room,
    likely_room,
    masks_from_keys,
)
from weedout_core.lab.experiment.arms import Work

#: A step takes the products of the forward pass, and in the backward pass as many for the inputs and for the weights.
STEP = 3


class LedgerRow(NamedTuple):
    """What one phase of one cell cost.

    Attributes:
        sparsity, arm, repeat: the cell.
        phase: "choose", "train" or "evaluate".
        candidates: the candidates scored, each on a validation batch.
        steps: the training steps.
        dense_macs, active_macs, computed_macs: multiply-adds, see above; those of a step are three times those of its
            forward pass. Where the draw decides how many nodes a site keeps, each candidate that is scored untrained is
            billed as one that is drawn so. What is handed to a backend smaller is as dense as it is then.
        bytes: of the weights that are computed with, in float32.
    """

    sparsity: float
    arm: str
    repeat: int
    phase: str
    candidates: int
    steps: int
    dense_macs: int
    active_macs: int
    computed_macs: int
    bytes: int


class Meter:
    """Counts the work of a backend.

    Attributes:
        work: what was counted, with what it began with.
        backend: the backend whose calls are counted; it computes what the one it is made of computes.
    """

    def __init__(self, backend: Backend, work: Work) -> None:
        self.work = work
        self.backend = replace(
            backend,
            score_population=self._counting(backend.score_population, _scoring),
            predict=self._counting(backend.predict, _predicting),
            train_epoch=self._counting(backend.train_epoch, _training),
            score_trained=self._counting(backend.score_trained or partial(score_trained, backend), _scoring_trained),
            mask_gradient=backend.mask_gradient and self._counting(backend.mask_gradient, _differentiating),
        )

    def _counting(self, call: Callable[..., Any], count: Callable[..., Work]) -> Any:
        def counted(*arguments: Any) -> Any:
            result = call(*arguments)
            self.work = self.work.plus(count(*arguments))
            return result

        return counted


def _scoring(net: Network, params: Any, population: Population, batch: Any, scoring: Any) -> Work:
    examples = len(batch.x) + (0 if batch.calibration is None else len(batch.calibration))
    if population.plan is None:
        each = _of_given_masks(net, population.masks or {}, population.size)
    else:
        each = tuple(population.size * macs for macs in of_a_candidate(net, population.plan))
    return Work(population.size, 0, *(examples * macs for macs in each))


def _scoring_trained(net: Network, params: Any, population: Population, batch: Any, scoring: Any, limited: Any) -> Work:
    """Limited training and scores. A smaller network is computed where those side by side keep as many nodes."""
    seen = STEP * limited.steps * limited.plan.batch_size + len(batch.x)
    each = _of_trained(net, population, limited.plan.config, scoring.chunk)
    return Work(population.size, population.size * limited.steps, *(seen * macs for macs in each))


def _of_trained(net: Network, population: Population, config: TrainConfig, chunk: int) -> tuple[int, int, int]:
    """Dense, active and computed multiply-adds of all candidates, an example forward, as they are trained."""
    plan, size = population.plan, population.size
    if plan is not None and plan.counts:
        dense, active, _ = of_a_candidate(net, plan)
        return size * dense, size * active, size * costs(as_trained(net, plan.counts, config)).macs
    parts = np.array_split(np.arange(size), -(-size // chunk))
    each = [_side_by_side(net, _masks_of(population, some), config) for some in parts]
    dense, active, computed = map(sum, zip(*each, strict=True))
    return dense, active, computed


def _masks_of(population: Population, some: np.ndarray) -> dict[str, np.ndarray]:
    if population.plan is None or population.mask_keys is None:
        return {site: host_array(mask)[some] for site, mask in (population.masks or {}).items()}
    return masks_from_keys(host_array(population.mask_keys)[some], population.plan)


def _side_by_side(net: Network, masks: Masks, config: TrainConfig) -> tuple[int, int, int]:
    kept = {site: mask.reshape(len(mask), -1).sum(axis=1) for site, mask in masks.items()}
    size, alike = len(next(iter(kept.values()))), all((each == each[0]).all() for each in kept.values())
    dense, active, _ = _of_given_masks(net, masks, size)
    counts = {site: int(each[0]) for site, each in kept.items()} if alike else {}
    return dense, active, size * costs(as_trained(net, counts, config)).macs


def as_trained(net: Network, counts: Mapping[str, int], config: TrainConfig) -> Network:
    """The network that is trained in place of a parent: a smaller one where all masks keep these counts, {} if not."""
    return compact(net, counts).net if trained_smaller(net, config) else net


def _of_given_masks(net: Network, masks: Masks, size: int) -> tuple[int, int, int]:
    """Dense, active and computed multiply-adds of all candidates, of masks that a strategy bred.

    All are computed with room for the fullest at each site. What is active depends on how many nodes each site keeps.
    """
    hosted = {site: host_array(mask) for site, mask in masks.items()}
    kept = {site: mask.reshape(size, -1).sum(axis=1) for site, mask in hosted.items()}
    alike = all((each == each[0]).all() for each in kept.values())
    first = range(1 if alike else size)
    active = [costs(net, {site: mask[i] for site, mask in hosted.items()}).active_macs for i in first]
    most = {site: int(kept[site].max()) for site in counted_sites(net)}
    room = known_room(net, None) or counted_room(net, None, most)
    macs, computed = costs(net).macs, costs(compacted(net, room).net).macs
    return size * macs, size * active[0] if alike else sum(active), size * computed


@lru_cache(maxsize=64)
def of_a_candidate(net: Network, plan: MaskPlan) -> tuple[int, int, int]:
    """Dense, active and computed multiply-adds of one candidate. Masks of one plan differ little in what is active."""
    mask = {site: one[0] for site, one in masks_from_keys(key(0)[None], plan).items()}
    one = costs(net, mask)
    return one.macs, one.active_macs, costs(compacted(net, likely_room(net, plan)).net).macs


def _predicting(net: Network, params: Any, statistics: Any, masks: Any, x: Any) -> Work:
    return _handed_in(net, masks, len(next(iter(params.values()))), 0, len(x))


def _training(net: Network, plan: Any, state: Any, masks: Any, *rest: Any) -> Work:
    return _handed_in(net, masks, len(state.keys), plan.steps, STEP * plan.steps * plan.batch_size)


def _handed_in(net: Network, masks: Masks | None, networks: int, steps: int, examples: int) -> Work:
    """Work on networks as they are: of parents, or of what was made smaller before, with the masks that are left."""
    left = {site: host_array(mask) for site, mask in (masks or {}).items() if site in mask_space(net)}
    active = [costs(net, {site: mask[i] for site, mask in left.items()}).active_macs for i in range(networks)]
    whole = networks * examples * costs(net).macs
    return Work(0, networks * steps, whole, examples * sum(active), whole)


def _differentiating(net: Network, params: Any, statistics: Any, masks: Any, x: Any, y: Any) -> Work:
    macs = STEP * len(x) * costs(net).macs  # a factor that is 0 has a gradient too
    return Work(0, 0, macs, macs, macs)


def room_of_candidates(net: Network, plan: MaskPlan, search: SearchConfig) -> Room:
    """The room with which a search scores candidates: masks that are bred have it in large steps."""
    room = likely_room(net, plan)
    if search.strategy in ("random_search", "successive_halving"):
        return room
    most = {site: nodes for site, nodes in room.nodes if site in counted_sites(net)}
    return known_room(net, None) or counted_room(net, None, most)


def examples_of_a_score(search: SearchConfig, examples: int) -> int:
    """How many of a validation split a candidate is shown for a score: its batch, and that of its statistics."""
    drawn = min(search.validation_batch, examples)
    batch = examples if search.batch_policy == "whole" else drawn
    return batch + (drawn if search.batch_norm == "recalibrated" else 0)
