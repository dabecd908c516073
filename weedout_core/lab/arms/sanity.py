"""Sanity checks of a method: arms that take one thing from it, and so show what its accuracy comes from.

Is it the mask, how many nodes each layer keeps, the weights, or the data? Frankle et al., "Pruning neural networks at
initialization: why are we missing the mark?" (ICLR 2021); Su et al., "Sanity-checking pruning methods: random tickets
can win the jackpot" (NeurIPS 2020). What would be the same as another arm, by construction or in law, is not trained.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from weedout_core import Subnetwork
from weedout_core._random.keys import of_arm, of_sanity
from weedout_core.backend import Examples, MaskPlan, masks_from_keys
from weedout_core.errors import RunError
from weedout_core.lab.arms.starts import masked, scored
from weedout_core.lab.experiment.arms import Arm, LeftOut, Start, Task
from weedout_core.random import Key, fold_in, permutation


def sanity(method: Arm, random: str) -> tuple[Arm, ...]:
    """The sanity checks of a method. ``random`` is the name of the arm of random masks."""
    return shuffled(method, random), reinitialised(method), inverted(method), corrupted(method)


def shuffled(method: Arm, random: str) -> Arm:
    """As many nodes at each site as the method keeps, drawn at random: is it the mask, or the counts?"""
    name = f"{method.name}.shuffled"
    return Arm(name, partial(_shuffled, method, random, name), reads=(method.name,))


def _shuffled(method: Arm, random: str, name: str, task: Task) -> Start | LeftOut:
    mask = _start(task, method).network.mask or {}
    counts = {site: int(np.count_nonzero(kept)) for site, kept in mask.items()}
    if counts == task.plan.counts and task.search.sampling == "exact":
        return LeftOut(random, f"{method.name} keeps as many nodes at each site as random masks do")
    plan = MaskPlan(tuple(replace(site, kept=max(1, counts[site.site])) for site in task.plan.sites))
    drawn = masks_from_keys(of_sanity(task.root, name)[None], plan)
    return masked({site: one[0] & (counts[site] > 0) for site, one in drawn.items()}, task)


def reinitialised(method: Arm) -> Arm:
    """The method's mask on fresh weights: is it the mask, or the weights that it was made for?"""
    name = f"{method.name}.reinitialised"
    return Arm(name, partial(_reinitialised, method, name), reads=(method.name,))


def _reinitialised(method: Arm, name: str, task: Task) -> Start:
    network, fresh = _start(task, method).network, task.fresh(of_sanity(task.root, name)).params
    return Start(Subnetwork(network.net, fresh, network.mask, network.statistics))


def inverted(method: Arm) -> Arm:
    """The lowest scores in place of the highest: do the scores order the nodes at all?"""
    return Arm(f"{method.name}.inverted", partial(_inverted, method), reads=(method.name,))


def _inverted(method: Arm, task: Task) -> Start | LeftOut:
    scores = _start(task, method).scores
    if scores is None:
        return LeftOut("", f"{method.name} gives masks, and no scores that could be inverted")
    return scored({site: -np.asarray(value) for site, value in scores.items()}, task)


def corrupted(method: Arm) -> Arm:
    """The method run on shuffled labels: does it learn anything from the data?"""
    name = f"{method.name}.corrupted"
    return Arm(name, partial(_corrupted, method, name), reads=(method.name, *method.reads))


def _corrupted(method: Arm, name: str, task: Task) -> Start | LeftOut:
    if method.files:
        return LeftOut("", f"{method.name} is read from files, and cannot be made again from shuffled labels")
    train, validation = (
        _with_shuffled_labels(split, fold_in(of_sanity(task.root, name), number))
        for number, split in enumerate((task.train, task.validation))
    )
    wrong = task._replace(train=train, validation=validation, key=of_arm(task.root, method.name))
    found = method.choose(wrong._replace(scored=(), on_generation=lambda _: None))
    if not isinstance(found, Start):
        return found
    if found.network == _start(task, method).network:
        return LeftOut(method.name, f"{method.name} chooses the same from shuffled labels")
    return found._replace(history=(), margin=None)


def _start(task: Task, method: Arm) -> Start:
    found = task.found[method.name]
    if not isinstance(found, Start):
        raise RunError(f"{method.name} was left out, because {found.why}.")
    return found


def _with_shuffled_labels(split: Examples, key: Key) -> Examples:
    return Examples(split.x, split.y[permutation(key, len(split.y))])
