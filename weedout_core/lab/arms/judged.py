"""From what a user wants judged to an experiment: methods with their sanity checks, the baseline, and random masks."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from weedout_core import Network, scores
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import Eta, Name, Positive
from weedout_core.backend import MaskPlan, adopted
from weedout_core.errors import ConfigError, WeedoutWarning
from weedout_core.lab.arms.dense import DENSE, SMALL_DENSE
from weedout_core.lab.arms.folder import from_folder
from weedout_core.lab.arms.named import METHODS, RANDOM, REFERENCES, arm_named
from weedout_core.lab.arms.own import imported_arm, own
from weedout_core.lab.arms.paper import WEEDOUT, with_budget_of
from weedout_core.lab.arms.sanity import sanity
from weedout_core.lab.code.sources import source
from weedout_core.lab.experiment.allocation import exact_plan
from weedout_core.lab.experiment.arms import Arm
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.events import EVALUATE, TRAIN
from weedout_core.lab.experiment.experiment import Experiment, check_arms
from weedout_core.lab.experiment.names import named
from weedout_core.lab.verdict.looks import LOOKS, Look, check_family, check_looks
from weedout_core.lab.verdict.paired import MARGIN, Margin

#: What is judged: the name of a method of this library, "package.module:function", a folder of masks, or a function.
Method = str | Path | Callable[..., Any] | Arm
#: What no arm of a user's own may be called: the library's arms, and the phases beside which arms stand in tables.
_TAKEN = frozenset({*REFERENCES, *METHODS, "control", TRAIN, EVALUATE})


@dataclass(frozen=True)
class JudgeConfig:
    """Against what methods are judged, and when the results are looked at. Choose all of it before the run.

    Attributes:
        baseline: the arm that every method is compared with: "weedout", Random Search; or "random", a random mask.
        sparsity: the fractions of nodes removed, each in (0, 1).
        repeats: after how many repeats the results are looked at, increasing, each at least 2. The run ends at the
            first look at which every comparison is decided.
        margin: the smallest difference of accuracy that matters, as a fraction of 1, above 0 and below 1: 0.005 is half
            a point.
        sanity: also train the sanity checks of each method: its counts with other masks, its masks on other weights,
            its lowest scores, and its masks from shuffled labels.
        budget_of: give the search of the baseline as many multiply-adds as this method takes to choose, in place of
            its population and generations; None leaves it the paper's.
        family: the number of comparisons whose sentences are to be right together, if there are other runs besides:
            those of all of them; None means those of this run, one for each method and sparsity.
    Raises:
        ConfigError: a field is out of its range.
        WeedoutWarning: the margin is 0.1, which is ten points, or more.
    """

    baseline: Name = "weedout"
    sparsity: tuple[Eta, ...] = (0.2, 0.4, 0.6, 0.8)
    repeats: tuple[Look, ...] = LOOKS
    margin: Margin = MARGIN
    sanity: bool = True
    budget_of: Name | None = None
    family: Positive | None = None

    def __post_init__(self) -> None:
        convert_fields(self)
        check_looks(self.repeats, "repeats")
        if self.baseline not in (WEEDOUT.name, RANDOM):
            raise ConfigError(f'baseline must be "{WEEDOUT.name}" or "{RANDOM}"; got {self.baseline!r}.')

    def of(self, config: ExperimentConfig) -> ExperimentConfig:
        """The configuration of the experiment at these sparsities and repeats."""
        return replace(config, sparsity=self.sparsity, repeats=self.repeats[-1])


def judged(
    methods: Sequence[Method], config: ExperimentConfig, judging: JudgeConfig, net: Network
) -> tuple[Experiment, tuple[str, ...]]:
    """The experiment that judges methods, and what its judged arms are called.

    Args:
        methods: at least one.
        config: the experiment; sparsities and repeats are those of ``judging``.
        judging: how they are judged.
        net: the parent.
    Raises:
        ConfigError, MaskError: there is no method, one does not exist, cannot be read or does not fit the network, two
            have one name or names that differ by case alone, a user's own has a name of this library, a sparsity
            removes nothing, or the family has fewer comparisons than the run.
    """
    config = judging.of(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)  # said when the run is opened
        plans = {sparsity: exact_plan(net, sparsity, config.search) for sparsity in config.sparsity}
    _check_removed(plans)
    chosen = [_arm(method, config, plans, config.repeats) for method in methods]
    if not chosen:
        raise ConfigError("there must be a method to judge; got none. Name one, such as magnitude or snip.")
    _check_known([arm.name for arm in chosen], net)
    _check_names([arm for method, arm in zip(methods, chosen, strict=True) if not _is_librarys(method)])
    names = tuple(arm.name for arm in chosen)
    _check_once(methods, names)
    if judging.baseline in names:
        raise ConfigError(
            f"{judging.baseline} is the baseline of the methods. Judge others, or choose another baseline."
        )
    random = arm_named(RANDOM, config.control)
    blocks = [[one for one in (WEEDOUT, random) if one.name not in names]]
    for arm in chosen:
        checks = sanity(arm, RANDOM) if judging.sanity and arm.name not in REFERENCES else ()
        blocks.append([arm, *checks])
    # A user's own first: what is wrong shows before any search. Then Random Search, which the random mask reads.
    blocks.sort(key=lambda block: (not block[0].source, block[0].name != WEEDOUT.name))
    arms = _budgeted([arm for block in blocks for arm in block], judging.budget_of)
    check_arms(arms)
    check_family(judging.family, len(names) * len(judging.sparsity))
    rules: dict[str, Any] = {"methods": list(names), "baseline": judging.baseline, "margin": judging.margin}
    rules |= {} if judging.family is None else {"family": judging.family}
    return Experiment(config, tuple(arms), judging.repeats, rules), names


def _check_once(methods: Sequence[Method], names: Sequence[str]) -> None:
    """Raise ConfigError where two methods have one name, with what was typed for them."""
    if twice := next((name for name in names if names.count(name) > 1), None):
        same = [method for method, name in zip(methods, names, strict=True) if name == twice]
        typed = ", ".join(str(method) for method in same if isinstance(method, str | Path))
        raise ConfigError(
            f"each arm needs its own name; got {twice!r} twice{f' ({typed})' if typed else ''}. Rename one, or give it "
            "once."
        )


def _arm(method: Method, config: ExperimentConfig, plans: Mapping[float, MaskPlan], repeats: int) -> Arm:
    match method:
        case Arm():
            return method._replace(source=method.source or source(method.choose))
        case Path():
            return from_folder(method, plans, repeats)
        case str():
            return arm_named(method, config.control) if _is_librarys(method) else imported_arm(method)
        case _:
            return own(method)


def _check_known(names: Sequence[str], net: Network) -> None:
    """Raise ConfigError for a method of this library that needs to know the layers of an adopted model."""
    if (model := adopted(net)) is None:
        return
    if SMALL_DENSE.name in names:
        raise ConfigError(
            f"{SMALL_DENSE.name} makes layers of this library narrower, and cannot do so with {model.name}. Leave it "
            f"out, or judge a narrower model in a run of its own, by the method {DENSE.name}."
        )
    if {"magnitude", "magnitude_after_training"} & {*names}:
        scores.magnitude(net, model.model.params)  # refuses what it cannot rate


def _is_librarys(method: Method) -> bool:
    return isinstance(method, str) and ":" not in method


def _check_names(own: Sequence[Arm]) -> None:
    """Raise ConfigError where a user's own arm could be taken for another, because of its name or but for its case."""
    before = {name.casefold(): name for name in _TAKEN}
    for arm in own:
        other = before.setdefault(arm.name.casefold(), arm.name)
        if other in _TAKEN or other != arm.name:
            raise ConfigError(
                f"an arm of your own needs a name that is no name of this library, and differs from others by more "
                f"than case; got {arm.name!r}, and there is {other!r}. Rename the function or the folder."
            )


def _check_removed(plans: Mapping[float, MaskPlan]) -> None:
    for sparsity, plan in plans.items():
        if plan.nodes_kept == plan.nodes:
            raise ConfigError(
                f"sparsity {named(sparsity)} removes no node of this network, where all methods are the same. Raise it."
            )


def _budgeted(arms: list[Arm], method: str | None) -> list[Arm]:
    """The arms with a search that may cost as much as a method, which then comes before it."""
    if method is None:
        return arms
    measure = next((arm for arm in arms if arm.name == method), None)
    if measure is None or measure.name in REFERENCES:
        raise ConfigError(f"budget_of must be one of the methods that are judged; got {method!r}.")
    others = [with_budget_of(measure) if arm.name == WEEDOUT.name else arm for arm in arms if arm is not measure]
    return [measure, *others]
