"""The tasks of a judgement, for who makes masks outside it: initial weights, splits and key of each repeat."""

from collections.abc import Iterator

from rich.console import Console

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Name
from weedout_core.lab.arms.judged import JudgeConfig
from weedout_core.lab.code.functions import Function
from weedout_core.lab.commands.options import RunOptions
from weedout_core.lab.commands.progress import describe, write_line
from weedout_core.lab.commands.running import load, with_functions
from weedout_core.lab.experiment.arms import Task
from weedout_core.lab.experiment.configuration import ExperimentConfig, checked_network
from weedout_core.lab.experiment.decided import decide
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.group import group_tasks
from weedout_core.lab.experiment.own_functions import with_own


@guarded
def tasks(
    name: Name,
    config: ExperimentConfig = ExperimentConfig(),
    judging: JudgeConfig = JudgeConfig(),
    run: RunOptions = RunOptions(),
    *,
    model: Function | None = None,
    dataset: Function | None = None,
) -> Iterator[Task]:
    """The tasks that :func:`weedout_core.lab.judge` hands a method, without choosing or training anything.

    There is one for each sparsity and repeat, ``task.sparsity`` and ``task.repeat``, for all looks that are planned.
    Each is made when it is asked for; that a model of your own is made for it is shown on standard error.

    Args:
        name: what the method is called, from which its keys are drawn: for a folder of masks, as the folder is.
        config, judging, run, model, dataset: as ``judge`` is handed them; of the run, where data lie.
    Raises:
        WeedoutError: an argument, the network, the data or the backend are refused, before the first task.
    """
    err = Console(stderr=True)
    config, functions = with_functions(judging.of(with_own(config)), model, dataset)
    data, backend, own, _ = load(config, run, err, functions)
    net = checked_network(config, data, backend, own)
    experiment = Experiment(config, (), judging.repeats, model=own)
    decided = decide(config, net, backend, len(data.train.y) + len(data.test.y), 1)
    return (
        task
        for group in experiment.groups
        for task in group_tasks(
            experiment, decided, group, data, backend, name, lambda event: write_line(err, describe(config, event))
        )
    )
