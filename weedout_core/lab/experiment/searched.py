"""Cells whose masks are searched while they train: from the search before it, and to what came of it."""

import warnings
from dataclasses import replace

from weedout_core import Network, SearchConfig, SearchResult, Trained
from weedout_core._configs.search_config import OWN_FUNCTIONS
from weedout_core.backend import search_plan
from weedout_core.errors import RunError, WeedoutWarning
from weedout_core.lab.experiment.arms import Cell


def searched_with(cell: Cell, search: SearchConfig) -> SearchConfig:
    """The configuration of the search that goes on while a cell trains: under a budget it has an end of its own.

    A record only names functions of the user's; those are the ones of ``search``, the configuration of the experiment.
    """
    began = cell.start.history[0].began if cell.start.history else None
    if began is None:
        raise RunError(f"the arm {cell.arm} must be found by a search that goes on while it trains.")
    return replace(began.config, **{field: getattr(search, field) for field in OWN_FUNCTIONS})


def found_before(cell: Cell, search: SearchConfig) -> SearchResult:
    """The result of the search that goes on while a cell trains, as the cell's start has it."""
    start = cell.start
    if start.origin is None or start.fitness is None or start.stopped is None or start.batch is None:
        raise RunError(f"the arm {cell.arm} must be found by a search that goes on while it trains.")
    return SearchResult(
        network=start.network,
        fitness=start.fitness,
        margin=start.margin,
        origin=start.origin,
        history=start.history,
        stopped=start.stopped,
        evaluations=start.evaluations,
        validation_batch=start.batch,
        config=searched_with(cell, search),
    )


def keep_as_many(net: Network, sparsity: float, search: SearchConfig) -> bool:
    """Whether all masks of a generation keep as many nodes at each site. Else each were a program of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)  # said when the run was opened
        return bool(search_plan(net, sparsity, search).counts)


def after_training(cell: Cell, trained: Trained) -> Cell:
    """A cell with what its search found in the end: the mask, its origin and fitness, and all generations."""
    if not trained.generations:
        return cell
    start, last = cell.start, trained.generations[-1]
    found = start._replace(
        network=replace(start.network, mask=trained.network.mask),
        origin=last.elite,
        fitness=last.best,
        population_mean=last.mean,
        evaluations=start.evaluations + sum(one.evaluations for one in trained.generations),
        history=(*start.history, *trained.generations),
        margin=last.margin,
    )
    return cell._replace(start=found)
