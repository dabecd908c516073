"""The paper's two arms: the winner of a search, and the random network that it competes with."""

from dataclasses import replace
from functools import partial

from weedout_core import costs, draw_control, search
from weedout_core._configs.search_config import Control
from weedout_core.backend import best_overall, compacted, search_plan, train_plan
from weedout_core.lab.experiment.arms import Arm, Start, Task
from weedout_core.lab.experiment.ledger import STEP, as_trained, examples_of_a_score, room_of_candidates


def weedout(task: Task) -> Start:
    """The winner of Random Search (paper, Algorithm 1, lines 1–11)."""
    limited = {"training": task.train, "learning": task.learning} if task.search.training_steps else {}
    found = search(
        task.net,
        task.validation,
        sparsity=task.searched_at,
        backend=task.backend,
        key=task.root,
        config=task.search,
        on_generation=task.on_generation,
        scored=task.scored,
        **limited,
    )
    mean = {
        "last_generation": found.history[-1].mean,
        "best_overall": best_overall(found.history).mean,
        "rescored": None,  # measured on one more batch, which the population never saw
    }[found.config.winner]
    return Start(
        found.network,
        origin=found.origin,
        fitness=found.fitness,
        population_mean=mean,
        evaluations=found.evaluations,
        stopped=found.stopped,
        batch=found.validation_batch,
        history=found.history,
        margin=found.margin,
    )


def control(name: str, kind: Control) -> Arm:
    """The random control (paper, section 3), with the fitness that it had as a member of the first generation."""
    return Arm(name, partial(_control, kind), reads=(WEEDOUT.name,))


def _control(kind: Control, task: Task) -> Start:
    drawn = draw_control(
        task.net, sparsity=task.sparsity, backend=task.backend, key=task.root, config=task.search, control=kind
    )
    start, winner = Start(drawn.network, origin=drawn.origin), task.found.get(WEEDOUT.name)
    if drawn.origin is None or not isinstance(winner, Start):
        return start
    first, number = winner.history[0], drawn.origin.candidate
    if number >= len(first.fitness) or task.searched_at != task.sparsity:  # a budget for fewer, or other masks
        return start
    return start._replace(fitness=float(first.fitness[number]), population_mean=first.mean, batch=winner.batch)


WEEDOUT = Arm("weedout", weedout)


def with_budget_of(method: Arm) -> Arm:
    """Random Search that may take as many multiply-adds as a method took to choose, and scores at least two candidates.

    The budget is counted in what is really computed, steps before a score too. A population that it does not fill is
    smaller.
    """
    return Arm(WEEDOUT.name, partial(_with_budget, method.name), reads=(method.name,))


def _with_budget(method: str, task: Task) -> Start:
    spent, search = task.found[method], task.search
    allowed = spent.spent.computed_macs // _most(task) if isinstance(spent, Start) else 0
    allowed = max(2, allowed - (search.trained_weights == "kept"))  # a winner that is ahead takes its steps again
    population, again = min(search.population, allowed), search.winner == "rescored"
    if search.strategy == "successive_halving":  # each generation costs as much, and its elites at most that once more
        ends = {"generations": max(1, allowed // (population * (1 + again))), "budget": None}
    else:
        ends = {"generations": None, "budget": allowed}
    return weedout(task._replace(search=replace(search, population=population, **ends)))


def _most(task: Task) -> int:
    """The multiply-adds of a candidate of a search, in the generation in which they are most."""
    search, examples = task.search, examples_of_a_score(task.search, len(task.validation.y))
    plan = search_plan(task.net, task.searched_at, search)
    if search.training_steps:
        examples += STEP * search.training_steps * train_plan(task.learning, len(task.train.y)).batch_size
        return examples * costs(as_trained(task.net, plan.counts, task.learning)).macs
    return examples * costs(compacted(task.net, room_of_candidates(task.net, plan, search)).net).macs


def paper(kind: Control) -> tuple[Arm, ...]:
    """The arms of the paper's experiment."""
    return WEEDOUT, control("control", kind)
