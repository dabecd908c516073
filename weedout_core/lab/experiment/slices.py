"""The networks of a group are cut into slices: those of a slice are trained together, one slice after another.

Networks can be trained together if they are of one parent. Where their masks keep the same number of nodes at each site
they are compacted to one smaller network, so networks that keep other numbers go into slices of their own. Where every
mask keeps another number, none is compacted: one program for all takes less than to compile one for each. Those whose
masks are searched while they train go apart from the others, because their masks become other ones.
"""

from collections.abc import Callable, Hashable, Sequence
from itertools import groupby

import numpy as np

from weedout_core import Subnetwork, Trained
from weedout_core.backend import MaskPlan
from weedout_core.lab.experiment.arms import Cell

Checkpoint = Callable[[int, Callable[[], tuple[Trained, ...]]], None]
TrainSlice = Callable[[slice, tuple[Trained, ...] | None, Checkpoint], tuple[Trained, ...]]


def in_order_of_training(cells: Sequence[Cell], plan: MaskPlan) -> list[Cell]:
    """Cells so that those which are trained together stand side by side: in the order of the first of each kind."""
    kinds = list(dict.fromkeys(_kinds(cells, plan)))
    numbered = sorted(zip(_kinds(cells, plan), cells, strict=True), key=lambda pair: kinds.index(pair[0]))
    return [cell for _, cell in numbered]


def slices(cells: Sequence[Cell], together: int, plan: MaskPlan) -> list[slice]:
    """Cut cells that are in the order of training into slices of at most ``together``, each of one kind."""
    cut, first = list[slice](), 0
    for _, some in groupby(_kinds(cells, plan)):
        end = first + len(list(some))
        cut += [slice(start, min(start + together, end)) for start in range(first, end, together)]
        first = end
    return cut


def alike(cells: Sequence[Cell], cut: Sequence[slice]) -> list[bool]:
    """For each cell, whether all networks of its slice keep the same number of nodes at each site; one alone does."""
    same = {some.start: len({_kept(cell.start.network) for cell in cells[some]}) == 1 for some in cut}
    return [same[some.start] for some in cut for _ in cells[some]]


def _kinds(cells: Sequence[Cell], plan: MaskPlan) -> list[tuple[Hashable, ...]]:
    """For each cell its network, and the nodes its mask keeps: None where the repeats of its arm differ in that.

    They do under Bernoulli sampling, also those of other groups.
    """
    counts: dict[str, set[Hashable]] = {}
    for cell in cells:
        counts.setdefault(cell.arm, set()).add(_kept(cell.start.network))
    same = {arm: next(iter(found)) if len(found) == 1 and plan.counts else None for arm, found in counts.items()}
    return [(cell.start.network.net, cell.start.network.mask is None, cell.searched, same[cell.arm]) for cell in cells]


def _kept(network: Subnetwork) -> Hashable:
    # By name, because a mask that comes from a checkpoint may have its sites in another order.
    return tuple((site, int(np.count_nonzero(mask))) for site, mask in sorted((network.mask or {}).items()))


def train_slices(
    cut: Sequence[slice], epochs: int, train: TrainSlice, resume: tuple[Trained, ...], checkpoint: Checkpoint
) -> tuple[Trained, ...]:
    """Train the slices that are not trained yet, and return all networks in order.

    Args:
        cut: the slices, from :func:`slices`.
        epochs: the number of epochs for which each network is trained.
        train: a function that trains the networks of a slice, from their progress so far, with a ``checkpoint`` as in
            ``wc.train_together``.
        resume: the networks that are already trained and those of the unfinished slice, in order.
        checkpoint: called after each epoch but the very last, with the number of epochs that the present slice has done
            and a function that fetches what can be resumed.
    """
    done: tuple[Trained, ...] = ()
    for some in cut:
        before = resume[some]
        if before and len(before[0].history) == epochs:
            done = (*done, *before)
            continue
        done = (*done, *train(some, before or None, _after(done, checkpoint)))
        if epochs and some != cut[-1]:
            checkpoint(epochs, lambda done=done: done)
    return done


def _after(done: tuple[Trained, ...], checkpoint: Checkpoint) -> Checkpoint:
    return lambda epoch, fetch: checkpoint(epoch, lambda: (*done, *fetch()))
