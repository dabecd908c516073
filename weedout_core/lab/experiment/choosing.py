"""What the arms of a group choose, in every repeat: the networks that are then trained."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir
from typing import NamedTuple

import numpy as np

from weedout_core import Epoch, Generation, Network, SearchConfig
from weedout_core._configs.going_on import without_search
from weedout_core._guard.failures import place_of, told
from weedout_core._random.keys import of_arm, of_parent, of_repeat
from weedout_core.backend import Backend, Examples, MaskPlan, adopted, map_tree, search_plan
from weedout_core.errors import ConfigError, RunError
from weedout_core.lab.experiment.arms import Arm, LeftOut, Start, Task
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.ledger import Meter
from weedout_core.lab.experiment.model import Model, Parent
from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.so_far import NOTHING, GroupProgress
from weedout_core.lab.files import sha256
from weedout_core.nn import he_normal
from weedout_core.random import Key


class Choosing(NamedTuple):
    """What stays the same while the arms of a group choose.

    Attributes:
        config: the experiment.
        search: the configuration of its search, with the chunk that was decided when the run began.
        group, net, plan: what they choose for: the plan says how many nodes each site keeps.
        train, validation: what they choose from, read-only.
        backend: what computes.
        on_arm: called before an arm chooses, with its name and the repeat.
        on_generation: called after each generation of a search, with the repeat.
        on_epoch: called after each epoch of a network that an arm trains to choose, with its name and the repeat.
        offer: called with the progress so far.
        model: the parent, where it is the user's own.
        on_model: called before that is made for a repeat.
    """

    config: ExperimentConfig
    search: SearchConfig
    group: Group
    net: Network
    plan: MaskPlan
    train: Examples
    validation: Examples
    backend: Backend
    on_arm: Callable[[str, int], None]
    on_generation: Callable[[int, Generation], None]
    on_epoch: Callable[[str, int, Epoch], None]
    offer: Callable[[GroupProgress], None]
    model: Model | None = None
    on_model: Callable[[int], None] = lambda repeat: None


def choose_all(work: Choosing, arms: Sequence[Arm], resume: GroupProgress) -> GroupProgress:
    """The progress of a group when every arm has chosen in every repeat.

    Raises:
        RunError: an arm failed; the sentence names the arm and the cell.
        ConfigError: the progress to go on from is another group's: it began with other initial weights or data.
    """
    places = [*_places(work)]
    progress = NOTHING._replace(parents=fingerprint(place.parent.params for place in places))
    if resume.parents not in ("", progress.parents):
        raise ConfigError("it began with other initial weights than those that are drawn now.")
    for number, (arm, place) in enumerate((arm, place) for arm in arms for place in places):
        if number < len(resume.chosen):
            one = resume.chosen[number]
        else:
            work.on_arm(arm.name, place.repeat)
            going_on = number == len(resume.chosen)
            before = progress._replace(scored=resume.scored, spent=resume.spent) if going_on else progress
            one = _choose(work, arm, place, before)
        place.found[arm.name] = one
        progress = progress._replace(chosen=(*progress.chosen, one))
        if number >= len(resume.chosen):
            work.offer(progress)
    return progress


def tasks(work: Choosing, name: str) -> Iterator[Task]:
    """The tasks that an arm of this name is handed, one for each repeat, if it reads no other arm."""
    for place in _places(work):
        yield _task(work, name, place, NOTHING, Meter(work.backend, NOTHING.spent))


class _Place(NamedTuple):
    """A repeat: the parent, and what arms have chosen so far."""

    repeat: int
    parent: Parent
    found: dict[str, Start | LeftOut]


def _places(work: Choosing) -> Iterator[_Place]:
    for repeat in work.group.repeats:
        if work.model is not None:
            work.on_model(repeat)
        yield _Place(repeat, _parent(work, of_parent(of_repeat(work.config.seed, repeat))), {})


def _parent(work: Choosing, key: Key) -> Parent:
    """The parent with the initial weights that a key draws."""
    if work.model is not None and adopted(work.net) is not None:
        net, params = work.model.parent(key)
        return Parent(net, map_tree(_read_only, params))
    plan = search_plan(work.net, work.group.sparsity, work.search)
    specs = he_normal(work.net, work.search.fan, plan.kept if work.search.fan_counts == "kept" else None)
    drawn = work.backend.draw_parameters(key, specs)
    return Parent(work.net, map_tree(lambda value: _read_only(work.backend.to_numpy(value)), drawn))


def _choose(work: Choosing, arm: Arm, place: _Place, progress: GroupProgress) -> Start | LeftOut:
    one = _called(work, arm, place, progress)
    if arm.source and place.repeat == 0:  # one of the user's own
        again = _called(work._replace(offer=lambda _: None), arm, place, progress)
        if one != again:
            raise RunError(
                f"the arm {arm.name} chose something else when it was called a second time, at sparsity "
                f"{named(work.group.sparsity)}, repeat 0. It must give the same for the same task: draw from task.key, "
                "and keep nothing from call to call."
            )
    return one


def _called(work: Choosing, arm: Arm, place: _Place, progress: GroupProgress) -> Start | LeftOut:
    meter = Meter(work.backend, progress.spent)
    found = {name: place.found[name] for name in arm.reads if name in place.found}
    task = _task(work, arm.name, place, progress, meter)._replace(found=found)
    try:
        with chdir(os.curdir):  # a user's function may leave the folder
            one = arm.choose(task)
    except (Exception, SystemExit) as error:  # or call one that ends a script
        if task.scored and isinstance(error, ConfigError):
            raise  # the generations to go on from are of another search
        cell = f"at sparsity {named(task.sparsity)}, repeat {task.repeat}{place_of(error)}"
        raise RunError(f"the arm {arm.name} failed {cell}: {told(error)}") from error
    return one._replace(spent=meter.work) if isinstance(one, Start) else one


def _task(work: Choosing, name: str, place: _Place, progress: GroupProgress, meter: Meter) -> Task:
    root, scored = of_repeat(work.config.seed, place.repeat), list(progress.scored)

    def on_generation(generation: Generation) -> None:
        scored.append(generation)
        work.offer(progress._replace(scored=tuple(scored), spent=meter.work))
        work.on_generation(place.repeat, generation)

    return Task(
        net=place.parent.net,
        params=place.parent.params,
        sparsity=work.group.sparsity,
        searched_at=work.config.searched_at(work.group.sparsity),
        plan=work.plan,
        train=work.train,
        validation=work.validation,
        key=of_arm(root, name),
        repeat=place.repeat,
        backend=meter.backend,
        search=work.search,
        learning=without_search(work.config.train),
        found={},
        fresh=lambda key: _parent(work, key),
        root=root,
        scored=progress.scored,
        on_generation=on_generation,
        on_epoch=lambda epoch: work.on_epoch(name, place.repeat, epoch),
    )


def read_only(split: Examples) -> Examples:
    """Views of a split that cannot be written to."""
    return Examples(*map(_read_only, split))


def fingerprint(trees: Iterable[Mapping[str, np.ndarray]]) -> str:
    """The SHA-256 of the values of trees of arrays, each tree by path, in hexadecimal."""
    return sha256(*(np.ascontiguousarray(tree[path]).tobytes() for tree in trees for path in sorted(tree)))


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
