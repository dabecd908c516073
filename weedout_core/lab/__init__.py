"""The imperative shell around the core: datasets, experiments, run folders, reports, the command line.

It needs the extra ``lab``. The core never imports it: ``import weedout_core.lab``, and then ``lab.judge`` and what it
takes. These names are imported when they are asked for, because the command line must begin quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weedout_core.lab.arms.judged import JudgeConfig as JudgeConfig
    from weedout_core.lab.commands.judge import Judgement as Judgement
    from weedout_core.lab.commands.judge import judge as judge
    from weedout_core.lab.commands.options import RunOptions as RunOptions
    from weedout_core.lab.commands.tasks import tasks as tasks
    from weedout_core.lab.experiment.arms import Arm as Arm
    from weedout_core.lab.experiment.arms import Start as Start
    from weedout_core.lab.experiment.arms import Task as Task
    from weedout_core.lab.experiment.configuration import ExperimentConfig as ExperimentConfig

_PLACES = {
    "Arm": "experiment.arms",
    "ExperimentConfig": "experiment.configuration",
    "JudgeConfig": "arms.judged",
    "Judgement": "commands.judge",
    "RunOptions": "commands.options",
    "Start": "experiment.arms",
    "Task": "experiment.arms",
    "judge": "commands.judge",
    "tasks": "commands.tasks",
}

__all__ = [*_PLACES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
